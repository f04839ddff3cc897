"""The node with a network that a black image breaks, for tests of depth without a pixel."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.ros.main import main

Depth = NDArray[np.float32]
submit = DepthEstimator.submit


def break_on_black(estimator: DepthEstimator, images: list[NDArray[np.uint8]],
                   **options: Any) -> Callable[[], list[Depth]]:
    """Begin with a batch; the depth of a black image is NaN."""
    wait = submit(estimator, images, **options)
    return lambda: [depth if image.any() else np.full_like(depth, np.nan)
                    for image, depth in zip(images, wait(), strict=True)]


if __name__ == '__main__':
    DepthEstimator.submit = break_on_black  # type: ignore[method-assign, assignment]
    main()
