# SPDX-License-Identifier: Apache-2.0
"""
The passes over large grids that a frame's time goes to, each in two forms.

:mod:`.plain` holds them as torch operations, for every device, for ``torch.compile`` and for
``torch.export``. :mod:`.fused` holds the same as one Triton kernel each, for CUDA. Both give the
same numbers, to about float32's rounding (``test/core/kernels``). Grids are given as rows of
pixels, N×rows×channels, the order of channels-last memory; a coarse grid is upsampled bilinearly
with aligned corners wherever it is read, so that it never exists at the fine size.
"""

import logging
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ..device_errors import first_line, is_alive, is_out_of_memory
from . import plain
from .constants import Size

try:
    from . import fused
except ImportError:  # no Triton on this machine
    fused = None  # type: ignore[assignment]

__all__ = ['Size', 'add_norm', 'add_upsampled', 'attract', 'bicubic', 'convolve', 'expected_depth',
           'upsample']


LOGGER = logging.getLogger(__name__)


def form(tensor: Tensor) -> Any:
    """Return the module whose form suits a tensor: :mod:`.fused` or :mod:`.plain`."""
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    real = type(tensor) in (Tensor, nn.Parameter)  # a fake one has no memory to point to
    fits = fused is not None and tensor.is_cuda and real and not traced
    return fused if fits and builds(tensor.device) else plain


@lru_cache
def builds(device: torch.device) -> bool:
    """
    Return whether Triton can build a kernel for a device and run it there; else warn, once.

    It compiles a piece of C before its first kernel, so it may be installed and of no use. It is
    asked by the first forward pass, which no graph captures.

    :raises RuntimeError: when it is the device that fails.
    """
    try:
        fused.upsample(torch.zeros(1, 1, 2, 2, device=device), (3, 3))
        torch.cuda.synchronize(device)
        return True
    except Exception as error:  # of Triton, its compilers and the files they write; many kinds
        if is_out_of_memory(error) or not is_alive(device):
            raise
        LOGGER.warning('Triton cannot build kernels for %s, so plain torch operations serve, '
                       'slower: %s: apt install gcc python3-dev, and let ~/.triton be written',
                       device, first_line(error))
        return False


def upsample(grid: Tensor, size: Size) -> Tensor:
    """Resize a grid, N×channels×height×width, to a height and width; channels-last."""
    resized: Tensor = form(grid).upsample(grid, size)
    return resized


def add_upsampled(rows: Tensor, coarse: Tensor, before: Size, size: Size) -> Tensor:
    """
    Add a coarse grid to a fine one.

    :param rows: N×rows×channels at ``size``.
    :param coarse: N×rows×channels at ``before``.
    """
    added: Tensor = form(rows).add_upsampled(rows, coarse, before, size)
    return added


def add_norm(tokens: Tensor, update: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """
    Add two tensors of the same shape, and normalise the sum.

    :param tokens: N×tokens×channels.
    :param norm: with weights, over the channels.
    :return: the sum, and the sum normalised.
    """
    both: tuple[Tensor, Tensor] = form(tokens).add_norm(tokens, update, norm)
    return both


def convolve(convolution: Any, grid: Tensor, residual: Tensor | None = None, *,
             relu: bool = False) -> Tensor:
    """
    Convolve a grid, N×channels×height×width, and finish the result.

    :param convolution: torch's ``Conv2d``.
    :param residual: what is added, of the result's shape.
    :param relu: whether what is negative then becomes zero.
    """
    convolved: Tensor = form(grid).convolve(convolution, grid, residual, relu=relu)
    return convolved


def attract(points: Tensor, centres: Tensor, before: Size, size: Size, *, normed: bool,
            mean: bool) -> Tensor:
    """
    Draw the bin centres of each pixel towards its attractors.

    :param points: the attractors before their activation, N×rows×attractors at ``size``.
    :param centres: N×rows×bins at ``before``, float32.
    :param normed: whether centres are parts of a range of metres, which sets the activation.
    :param mean: whether the attractors' pulls are averaged; else they add up.
    :return: the moved centres, N×rows×bins at ``size``, float32.
    """
    moved: Tensor = form(centres).attract(
        points, centres, before, size, normed=normed, mean=mean)
    return moved


def expected_depth(features: Tensor, condition: Tensor, weight: Tensor, bias: Tensor,
                   centres: Tensor, before: Size, size: Size, *, binomial: Tensor,
                   temperatures: tuple[float, float]) -> Tensor:
    """
    Weigh the bin centres of each pixel by a log-binomial, and return their mean.

    :param features: the pixel's part of the hidden layer, N×rows×channels at ``size``.
    :param condition: the bins' part of it, N×rows×channels at ``before``.
    :param weight: of the output layer, N×channels×4.
    :param bias: of the output layer, N×1×4.
    :param centres: N×rows×bins at ``before``, float32.
    :param binomial: 3×bins, float32: the logarithm of each bin's binomial coefficient, its
        number, and the number of bins after it.
    :param temperatures: the lowest and the highest.
    :return: N×rows, float32, in the unit of the centres.
    """
    depth: Tensor = form(centres).expected_depth(
        features, condition, weight, bias, centres, before, size, binomial=binomial,
        temperatures=temperatures)
    return depth


def bicubic(grid: Tensor, size: Size, start: Size, kept: Size) -> Tensor:
    """
    Resize a grid bicubically and return a part of it; what is not kept is not computed.

    :param grid: height×width, float32.
    :param size: the height and width of the whole.
    :param start: the first row and column of the part.
    :param kept: the height and width of the part.
    """
    part: Tensor = form(grid).bicubic(grid, size, start, kept)
    return part
