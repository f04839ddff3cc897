# SPDX-License-Identifier: Apache-2.0
"""The node with a network that raises, from its third frame on, as on a device that is lost."""

import torch
from torch import Tensor

from depth_estimation_ros.core import device_errors
from depth_estimation_ros.core.running.planner import Planner
from depth_estimation_ros.ros.main import main

run = Planner.__call__
left = [3]


def network(planner: Planner, pixels: Tensor) -> Tensor:
    """Run the planner as often as is left."""
    left[0] -= 1
    if left[0] < 0:
        device_errors.is_alive = lambda device: False
        raise torch.AcceleratorError('CUDA error: an illegal memory access was encountered\nmore')
    return run(planner, pixels)


if __name__ == '__main__':
    Planner.__call__ = network  # type: ignore[method-assign, assignment]
    main()
