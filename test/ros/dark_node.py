# SPDX-License-Identifier: Apache-2.0
"""The node with a network that a black image breaks, for tests of depth without a pixel."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.core.maps import Maps
from depth_estimation_ros.ros.main import main

submit = DepthEstimator.submit


def break_on_black(estimator: DepthEstimator, images: Sequence[Any],
                   **options: Any) -> Callable[[], list[Maps]]:
    """Estimate; the depth of a black image is NaN."""
    wait = submit(estimator, images, **options)
    pixels = [getattr(image, 'image', image) for image in images]
    return lambda: [found if image.any() else Maps(torch.full_like(found.depth, torch.nan))
                    for image, found in zip(pixels, wait(), strict=True)]


if __name__ == '__main__':
    DepthEstimator.submit = break_on_black  # type: ignore[method-assign, assignment]
    main()
