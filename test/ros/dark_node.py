"""The node with a network that a black image breaks, for tests of depth without a pixel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.ros.main import main

estimate = DepthEstimator.estimate


def break_on_black(estimator: DepthEstimator, images: list[NDArray[np.uint8]],
                   **options: Any) -> list[NDArray[np.float32]]:
    """Estimate; the depth of a black image is NaN."""
    return [depth if image.any() else np.full_like(depth, np.nan) for image, depth in zip(
        images, estimate(estimator, images, **options), strict=True)]


if __name__ == '__main__':
    DepthEstimator.estimate = break_on_black  # type: ignore[method-assign, assignment]
    main()
