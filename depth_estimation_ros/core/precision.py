# SPDX-License-Identifier: Apache-2.0
"""Low precision: where it may be used, how far from fp32 its depth is, a copy of a model in it."""

from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import DeviceError
from .families.recorded import position_encodings, set_position_encodings
from .frame import Depth, Image

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}



class Deviation(NamedTuple):
    """How far depth is from that of fp32, relative to it."""

    mean: float
    p99: float
    """What 99 of 100 pixels are within."""

    def within(self, limit: 'Deviation') -> bool:
        """Return whether neither is beyond a limit."""
        return self.mean <= limit.mean and self.p99 <= limit.p99

    def __str__(self) -> str:
        """Return both in words."""
        return f'{self.mean:.2%} from fp32 in the mean, {self.p99:.2%} at the 99th percentile'


MAX_DEVIATION = Deviation(0.01, 0.03)
"""Beyond it on any of the test images a low precision is not used."""


SMALLEST = 0.01
"""The part of a map's largest value below which its values count as this: inverse depth is 0 far
away."""


def deviation(depths: Sequence[Depth], references: Sequence[Depth]) -> Deviation:
    """Return the worst mean and the worst percentile of any image; inf where one is not finite."""
    errors = [np.abs(depth - good) / np.maximum(np.abs(good), SMALLEST * np.nanmax(np.abs(good)))
              for depth, good in zip(depths, references, strict=True)]
    if not all(np.isfinite(error).all() for error in errors):
        return Deviation(float('inf'), float('inf'))
    return Deviation(max(float(error.mean()) for error in errors),
                     max(float(np.percentile(error, 99)) for error in errors))


def candidates(wanted: str, device: torch.device) -> list[str]:
    """
    Return the low precisions to try, the best first.

    :raises DeviceError: when a precision is wanted that is none.
    """
    if wanted == 'auto':
        return ['fp16', 'bf16'] if device.type == 'cuda' else []
    if wanted not in PRECISIONS:
        raise DeviceError(f"precision '{wanted}' is not one of auto, {', '.join(PRECISIONS)}")
    return [] if wanted == 'fp32' else [wanted]


def lowered(model: nn.Module, dtype: torch.dtype, float32: Sequence[str]) -> Any:
    """
    Return a copy with its weights in a low precision; what stays in float32 is shared.

    :param float32: the model's children and tensors that stay, where low precision would
        cost metres.
    """
    prefixes = tuple(f'{name}.' for name in float32)
    shared = {id(tensor): tensor
              for name, tensor in (*model.named_parameters(), *model.named_buffers())
              if f'{name}.'.startswith(prefixes)}
    shared.update({id(code): code for code in position_encodings(model) if code is not None})
    converted = {id(tensor): _converted(tensor, dtype) for tensor in _tensors(model)
                 if id(tensor) not in shared}
    copy = deepcopy(model, {**converted, **shared})
    set_position_encodings(copy, None)
    return copy


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _converted(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    low = tensor.detach().to(dtype)
    return nn.Parameter(low, requires_grad=False) if isinstance(tensor, nn.Parameter) else low


@lru_cache
def sample_images() -> tuple[Image, ...]:
    """Return seeded noise, uint8 RGB, 480×640×3: smooth, with detail, dark with a bright part."""
    generator = torch.Generator().manual_seed(0)
    smooth, detail, dark = (
        functional.interpolate(torch.rand(1, 3, *grid, generator=generator) * 255, (480, 640),
                               mode='bicubic')[0].permute(1, 2, 0)
        for grid in ((12, 16), (96, 128), (6, 8)))
    dark = dark / 8
    dark[:160, 400:] += 200
    return tuple(np.asarray(image.clamp(0, 255).byte().numpy())
                 for image in (smooth, (smooth + detail) / 2, dark))
