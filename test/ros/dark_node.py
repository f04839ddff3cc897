# SPDX-License-Identifier: Apache-2.0
"""The node with a network that a black image breaks, for tests of depth without a pixel."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.ros.main import main

submit = DepthEstimator.submit


def break_on_black(estimator: DepthEstimator, images: Sequence[Any],
                   **options: Any) -> Callable[[], list[NDArray[np.float32]]]:
    """Estimate; the depth of a black image is NaN."""
    wait = submit(estimator, images, **options)
    pixels = [getattr(image, 'image', image) for image in images]
    return lambda: [depth if image.any() else np.full_like(depth, np.nan)
                    for image, depth in zip(pixels, wait(), strict=True)]


if __name__ == '__main__':
    DepthEstimator.submit = break_on_black  # type: ignore[method-assign, assignment]
    main()
