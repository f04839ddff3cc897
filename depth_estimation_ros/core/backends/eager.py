# SPDX-License-Identifier: Apache-2.0
"""A network in plain torch, which serves until something faster is built."""

from itertools import chain

import torch
from torch import Tensor, nn


def forward(network: nn.Module, inputs: Tensor) -> Tensor:
    """
    Run a network in torch, in its own precision.

    :param network: gives a tensor, or transformers' output with a ``predicted_depth``.
    :param inputs: float32, N×channels×height×width.
    :return: float32, its first dimension N.
    """
    dtype = next(network.parameters(), inputs).dtype
    output = network(inputs.to(dtype=dtype, memory_format=torch.channels_last))
    depth: Tensor = output if isinstance(output, Tensor) else output.predicted_depth
    return depth.float()


def device_of(network: nn.Module) -> torch.device:
    """Return the device that a network is on."""
    return next(chain(network.parameters(), network.buffers())).device
