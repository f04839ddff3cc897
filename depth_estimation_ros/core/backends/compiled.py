# SPDX-License-Identifier: Apache-2.0
"""A patched model compiled by torch.compile."""

from threading import Event
from types import FunctionType

import torch
from torch import Tensor, nn

from .base import Backend, Network
from .eager import forward


def _compiled(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
    # Code of its own, since torch compiles one function for a few shapes only.
    function = FunctionType(forward.__code__.replace(), forward.__globals__)
    compiled = torch.compile(function, dynamic=False, fullgraph=True)
    return lambda frame: compiled(model, frame)


TORCH_COMPILE = Backend('torch.compile', _compiled, copies=False)
