# SPDX-License-Identifier: Apache-2.0
"""The kernels as torch operations; on the CPU in pieces that stay in its cache."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .constants import ALPHA, EPSILON, OFFSET, Size

CHUNK = 1 << 19
"""Elements of a bin tensor worked on at a time on the CPU, so that a chunk stays in its cache."""

EXPORTED_TOGETHER = 4
"""Attractors that an exported graph adds up in one expression: of all 16, OpenVINO makes one piece
of code that wants more vector registers than a processor with AVX2 has."""


def upsample(grid: Tensor, size: Size) -> Tensor:
    """See :func:`..upsample`."""
    return functional.interpolate(grid, size, mode='bilinear', align_corners=True)


def add_upsampled(rows: Tensor, coarse: Tensor, before: Size, size: Size) -> Tensor:
    """See :func:`..add_upsampled`."""
    return rows + resized(coarse, before, size)


def resized(rows: Tensor, before: Size, size: Size) -> Tensor:
    """Resize rows of pixels, N×rows×channels, from one height and width to another."""
    grid = upsample(rows.unflatten(1, before).permute(0, 3, 1, 2), size)
    return grid.permute(0, 2, 3, 1).flatten(1, 2)


def add_norm(tokens: Tensor, update: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """See :func:`..add_norm`."""
    total = tokens + update
    return total, norm(total)


def convolve(convolution: Any, grid: Tensor, residual: Tensor | None = None, *,
             relu: bool = False) -> Tensor:
    """See :func:`..convolve`."""
    return finish(convolution(grid), residual, relu)


def finish(output: Tensor, residual: Tensor | None, relu: bool) -> Tensor:
    """Add a residual where there is one, and cut off what is negative where that is wanted."""
    output = output if residual is None else output + residual
    return output.relu() if relu else output


def attract(points: Tensor, centres: Tensor, before: Size, size: Size, *, normed: bool,
            mean: bool) -> Tensor:
    """See :func:`..attract`."""
    points = points.float()
    points = points.relu() + OFFSET if normed else functional.softplus(points)
    strength = 1 / points.shape[-1] if mean else 1.0
    pull = _pull_in_groups if torch.compiler.is_exporting() else _pull

    def moved(centres: Tensor, points: Tensor) -> Tensor:
        return torch.add(centres, pull(points, centres), alpha=strength)

    return _by_chunks(moved, resized(centres, before, size), points)


def _pull(points: Tensor, centres: Tensor) -> Tensor:
    one, pull = centres.new_ones(()), torch.zeros_like(centres)
    for point in points.split(1, dim=-1):
        gap = point - centres
        pull.addcdiv_(gap, torch.addcmul(one, gap, gap, value=ALPHA))
    return pull


def _pull_in_groups(points: Tensor, centres: Tensor) -> Tensor:
    """Do the same in a form that OpenVINO compiles for every CPU."""
    groups = points.split(EXPORTED_TOGETHER, dim=-1)
    return torch.stack([_pull(group, centres) for group in groups]).sum(dim=0)


def expected_depth(features: Tensor, condition: Tensor, weight: Tensor, bias: Tensor,
                   centres: Tensor, before: Size, size: Size, *, binomial: Tensor,
                   temperatures: tuple[float, float]) -> Tensor:
    """See :func:`..expected_depth`."""
    coefficients, order, remaining = binomial
    low, high = temperatures

    def mean(centres: Tensor, likely: Tensor, unlikely: Tensor, temperature: Tensor) -> Tensor:
        scores = torch.addcmul(coefficients, order, likely)
        scores.addcmul_(remaining, unlikely).div_(temperature)
        return (scores.softmax(dim=-1) * centres).sum(dim=-1, keepdim=True)

    hidden = functional.gelu(add_upsampled(features.float(), condition, before, size))
    # in rows as long as the image from here on: four or two values at a time are slow on a CPU
    outputs = functional.softplus(torch.baddbmm(bias, hidden, weight).mT.contiguous()) + EPSILON
    parts = outputs[:, 0::2] / (outputs[:, 0::2] + outputs[:, 1::2])
    probability, mixture = parts.split(1, dim=1)
    likely, unlikely = (each.clamp(EPSILON, 1.0).log() for each in (probability, 1 - probability))
    temperature = (high - low) * mixture + low
    return _by_chunks(mean, resized(centres, before, size), likely.mT, unlikely.mT,
                      temperature.mT).squeeze(-1)


def bicubic(grid: Tensor, size: Size, start: Size, kept: Size) -> Tensor:
    """See :func:`..bicubic`; what lies above and left of the part is computed for nothing."""
    end = [first + count for first, count in zip(start, kept, strict=True)]
    scales = [fine / coarse for fine, coarse in zip(size, grid.shape, strict=True)]
    resized: Tensor = torch.ops.aten.upsample_bicubic2d.default(
        grid[None, None], end, False, *scales)
    return resized[0, 0, start[0]:, start[1]:].contiguous()


def _by_chunks(function: Callable[..., Tensor], bins: Tensor, *points: Tensor) -> Tensor:
    """Apply a function of each row, on the CPU piece by piece: temporaries stay in its cache."""
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    if bins.device.type != 'cpu' or traced:
        return function(bins, *points)
    count = max(CHUNK // bins.shape[-1], 1)
    pieces = zip(*(each.flatten(0, 1).split(count) for each in (bins, *points)), strict=True)
    done = torch.cat([function(*piece) for piece in pieces])
    return done.view(*bins.shape[:2], -1)
