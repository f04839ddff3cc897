# SPDX-License-Identifier: Apache-2.0
"""Images and depth at another size: the resizing of PIL and of torch, on the tensor's device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .device_constants import device_constant

BITS = 22
"""The fraction bits of PIL's fixed-point weights for uint8 (``PRECISION_BITS``, Resample.c)."""


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(1 - np.abs(x), 0.0))


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution with a = -0.5, as PIL has it."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


KERNELS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    'bilinear': (_triangle, 1.0), 'bicubic': (_cubic, 2.0)}
"""The kernel and its support in pixels."""

PILLOW = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}

_static = ContextVar('static', default=False)


@contextmanager
def static() -> Iterator[None]:
    """
    Resize, within, by such operations of torch as any exported graph may hold.

    That is without OpenCV, without looking at values, and in float32, where a grey level that PIL
    rounds from the very middle between two may become the other one.
    """
    token = _static.set(True)
    try:
        yield
    finally:
        _static.reset(token)


def resize_like_pil(image: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
    """
    Resize an image to the very values that PIL's ``Image.resize`` gives, on any device.

    PIL shrinks with an antialiased kernel and rounds to uint8 after each direction (Pillow,
    src/libImaging/Resample.c). On the CPU it is Pillow that does it. Elsewhere the arithmetic is
    that of its integers, and rows are resized first, as Pillow always does before version 13, and
    since then unless the height shrinks far more.

    :param image: uint8, 3×H×W, best a view of H×W×3; within :func:`static` float32.
    :param size: the new (height, width).
    :param kernel: 'bilinear' or 'bicubic'.
    :return: of the same type, 3×height×width.
    """
    if image.device.type == 'cpu' and not _static.get():
        return _by_pillow(image, size, kernel)
    return _along(_along(image.contiguous(), size[1], 2, kernel), size[0], 1, kernel)


def _by_pillow(image: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    resized = picture.resize((size[1], size[0]), PILLOW[kernel])
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def _along(image: Tensor, size: int, axis: int, kernel: str) -> Tensor:
    source = image.shape[axis]
    if source == size:
        return image
    if _static.get():
        matrix = _matrix(source, size, kernel, image.device)
        values = image @ matrix.mT if axis == 2 else matrix @ image
        return (values + 0.5).floor().clamp(0, 255)
    return _by_taps(image, size, axis, kernel)


def _by_taps(image: Tensor, size: int, axis: int, kernel: str) -> Tensor:
    """Resize by sums of weighted pixels, in integers: on a GPU float64 may be slow."""
    indices, weights = _taps(image.shape[axis], size, kernel, image.device)
    shape = [1, 1, 1]
    shape[axis] = size
    total: Tensor | None = None
    for index, weight in zip(indices, weights, strict=True):
        pixels = image.index_select(axis, index).int().mul_(weight.view(shape))
        total = pixels.add_(1 << (BITS - 1)) if total is None else total.add_(pixels)
    assert total is not None
    return (total >> BITS).clamp_(0, 255).byte()


@device_constant
def _taps(source: int, size: int, kernel: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return for each tap the source index (int64) and weight (int32) of each new pixel."""
    function, support = KERNELS[kernel]
    scale = source / size
    stretch = max(scale, 1.0)
    centre = (np.arange(size) + 0.5) * scale
    first = np.maximum((centre - support * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support * stretch + 0.5).astype(np.int64), source)
    offsets = np.arange(math.ceil(support * stretch) * 2 + 1)
    index = first[:, None] + offsets
    weight = function((index - centre[:, None] + 0.5) / stretch)
    weight[index >= last[:, None]] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    fixed = np.trunc(weight * (1 << BITS) + np.copysign(0.5, weight)).astype(np.int32)
    used = np.flatnonzero(fixed.any(axis=0))
    return (torch.from_numpy(np.minimum(index, source - 1).T[used].copy()).to(device),
            torch.from_numpy(fixed.T[used].copy()).to(device))


@device_constant
def _matrix(source: int, size: int, kernel: str, device: torch.device) -> Tensor:
    """Return the weights as a matrix, float32, size×source."""
    indices, weights = _taps(source, size, kernel, torch.device('cpu'))
    matrix = torch.zeros(size, source, dtype=torch.float64)
    matrix.scatter_add_(1, indices.T, weights.T.double() / (1 << BITS))
    return matrix.float().to(device)


def resize_bicubic(depth: Tensor, size: tuple[int, int]) -> Tensor:
    """
    Resize a map bicubically, as transformers' post-processing does, but for what is not finite.

    The kernel is torch's (a = -0.75, no antialiasing). A pixel that is not finite does not spread:
    a new pixel is NaN where the nearest old one is not finite, and takes its value from the finite
    ones elsewhere. On the CPU OpenCV resizes, which has the same kernel, is nearer to the exact
    result, and takes a tenth of the time.

    :param depth: float32, h×w.
    :param size: the new (height, width).
    :return: float32, height×width.
    """
    if _static.get():
        return _bicubic(depth, size)
    if _range(depth) is not None:
        return _bicubic(depth, size)
    known = depth.isfinite()
    weight = _bicubic(known.float(), size)
    resized = _bicubic(torch.where(known, depth, 0.0), size)
    nearest = functional.interpolate(known.float()[None, None], size, mode='nearest')[0, 0]
    good = (nearest > 0) & (weight.abs() > 1e-3)
    return torch.where(good, resized / torch.where(good, weight, 1.0), torch.nan)


def resize_depth(depth: Tensor, size: tuple[int, int]) -> Tensor:
    """
    Resize a map as :func:`resize_bicubic` does, without the kernel's overshoot.

    What it gives lies between the smallest and the largest finite value that are there, so no
    depth becomes negative at an edge.
    """
    if _static.get():
        return resize_bicubic(depth, size).clamp(depth.min(), depth.max())
    if (extremes := _range(depth)) is not None:
        return _bicubic(depth, size).clamp_(*extremes)
    known = depth.isfinite()
    low = torch.where(known, depth, torch.inf).amin()
    high = torch.where(known, depth, -torch.inf).amax()
    return resize_bicubic(depth, size).clamp(low, high)


def _range(depth: Tensor) -> tuple[float, float] | None:
    """Return the least and the greatest value on the CPU, at one look; None if not all finite."""
    if depth.device.type != 'cpu':
        return None
    low, high = map(float, depth.aminmax())
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _bicubic(values: Tensor, size: tuple[int, int]) -> Tensor:
    if values.device.type == 'cpu' and not _static.get():
        return torch.from_numpy(cv2.resize(values.contiguous().numpy(), size[::-1],
                                           interpolation=cv2.INTER_CUBIC))
    return functional.interpolate(values[None, None], size, mode='bicubic')[0, 0]
