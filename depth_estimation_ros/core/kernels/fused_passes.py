# SPDX-License-Identifier: Apache-2.0
"""Passes over each element in Triton: what torch does in two or three, in one."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.nn import functional

from . import plain
from .fused_resize import ELEMENTS, LAUNCH


@triton.jit
def _add_norm_kernel(tokens, update, weight, bias, total, normed, columns, epsilon,
                     TILE: tl.constexpr):
    column = tl.arange(0, TILE)
    mask = column < columns
    place = tl.program_id(0).to(tl.int64) * columns + column
    value = (tl.load(tokens + place, mask=mask, other=0.0).to(tl.float32)
             + tl.load(update + place, mask=mask, other=0.0).to(tl.float32))
    rounded = value.to(total.dtype.element_ty)
    tl.store(total + place, rounded, mask=mask)
    value = rounded.to(tl.float32)
    gap = tl.where(mask, value - tl.sum(value, axis=0) / columns, 0.0)
    scaled = gap / tl.sqrt(tl.sum(gap * gap, axis=0) / columns + epsilon)
    scaled = (scaled * tl.load(weight + column, mask=mask, other=0.0).to(tl.float32)
              + tl.load(bias + column, mask=mask, other=0.0).to(tl.float32))
    tl.store(normed + place, scaled.to(normed.dtype.element_ty), mask=mask)


@triton.jit
def _finish_kernel(values, bias, residual, elements, BIASED: tl.constexpr, ADD: tl.constexpr,
                   RELU: tl.constexpr, CHANNELS: tl.constexpr, TILE: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    mask = place < elements
    value = tl.load(values + place, mask=mask, other=0.0).to(tl.float32)
    if BIASED:
        value += tl.load(bias + place % CHANNELS, mask=mask, other=0.0).to(tl.float32)
    if ADD:
        value += tl.load(residual + place, mask=mask, other=0.0).to(tl.float32)
    if RELU:
        value = tl.where(value < 0.0, 0.0, value)  # unlike maximum() it keeps NaN
    tl.store(values + place, value.to(values.dtype.element_ty), mask=mask)


def add_norm(tokens: Tensor, update: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """See :func:`..add_norm`."""
    tokens, update = tokens.contiguous(), update.contiguous()
    columns = tokens.shape[-1]
    total, normed = torch.empty_like(tokens), torch.empty_like(tokens)
    _add_norm_kernel[(tokens.numel() // columns,)](
        tokens, update, norm.weight, norm.bias, total, normed, columns, norm.eps,
        TILE=triton.next_power_of_2(columns), **LAUNCH)
    return total, normed


def convolve(convolution: Any, grid: Tensor, residual: Tensor | None = None, *,
             relu: bool = False) -> Tensor:
    """See :func:`..convolve`."""
    if _is_pointwise(convolution) and _lies_in_rows(grid):
        rows = functional.linear(grid.permute(0, 2, 3, 1), convolution.weight[:, :, 0, 0],
                                 convolution.bias)
        return _finish(rows.permute(0, 3, 1, 2), None, residual, relu)
    output = functional.conv2d(grid, convolution.weight, None, convolution.stride,
                               convolution.padding, convolution.dilation, convolution.groups)
    return _finish(output, convolution.bias, residual, relu)


def _finish(output: Tensor, bias: Tensor | None, residual: Tensor | None, relu: bool) -> Tensor:
    """Add a bias and a residual to a new tensor, and cut off what is negative, in its memory."""
    if bias is None and residual is None and not relu:
        return output
    if not _lies_in_rows(output) or (residual is not None and not _lies_in_rows(residual)):
        output = output if bias is None else output + bias[:, None, None]
        return plain.finish(output, residual, relu)
    elements = output.numel()
    _finish_kernel[(triton.cdiv(elements, ELEMENTS),)](
        output, output if bias is None else bias, output if residual is None else residual,
        elements, BIASED=bias is not None, ADD=residual is not None, RELU=relu,
        CHANNELS=output.shape[1], TILE=ELEMENTS, **LAUNCH)
    return output


def _is_pointwise(convolution: Any) -> bool:
    return bool(convolution.kernel_size == convolution.stride == (1, 1)
                and convolution.padding == (0, 0) and convolution.groups == 1)


def _lies_in_rows(grid: Tensor) -> bool:
    """Tell whether the channels of a pixel lie together, and the pixels without a gap."""
    return grid.is_contiguous(memory_format=torch.channels_last)
