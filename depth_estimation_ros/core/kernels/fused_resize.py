# SPDX-License-Identifier: Apache-2.0
"""Grids resized in Triton: read where they lie, between their pixels, a tile at a time."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .constants import Size

ELEMENTS = 1024
"""Elements of the largest tile of a program."""

LAUNCH = {'num_warps': 4, 'enable_fp_fusion': True}
"""How every kernel is launched: by the registers that its tile takes, not tuned at run time."""


@triton.jit
def corners(pixel, width, coarse_height, coarse_width, scale_y, scale_x):
    """Return the four coarse pixels around each fine one, and how far down and across it is."""
    y = (pixel // width).to(tl.float32) * scale_y
    x = (pixel % width).to(tl.float32) * scale_x
    top = tl.minimum(y.to(tl.int32), coarse_height - 1)
    left = tl.minimum(x.to(tl.int32), coarse_width - 1)
    bottom = tl.minimum(top + 1, coarse_height - 1)
    right = tl.minimum(left + 1, coarse_width - 1)
    return (top * coarse_width + left, top * coarse_width + right,
            bottom * coarse_width + left, bottom * coarse_width + right, y - top, x - left)


@triton.jit
def read(base, row, stride_row, column, stride_column, mask):
    """Read a tile of rows×columns."""
    return tl.load(base + row[:, None] * stride_row + column[None, :] * stride_column,
                   mask=mask, other=0.0).to(tl.float32)


@triton.jit
def read_between(base, top_left, top_right, bottom_left, bottom_right, down, across, stride_row,
               column, stride_column, mask):
    """Read a coarse grid between its pixels: pixels×columns."""
    down, across = down[:, None], across[:, None]
    top = ((1 - across) * read(base, top_left, stride_row, column, stride_column, mask)
           + across * read(base, top_right, stride_row, column, stride_column, mask))
    bottom = ((1 - across) * read(base, bottom_left, stride_row, column, stride_column, mask)
              + across * read(base, bottom_right, stride_row, column, stride_column, mask))
    return (1 - down) * top + down * bottom


@triton.jit
def _upsample_kernel(
        coarse, coarse_image, coarse_row, coarse_column, rows, rows_image, rows_row, rows_column,
        output, pixels, width, coarse_height, coarse_width, scale_y, scale_x,
        COLUMNS: tl.constexpr, ADD: tl.constexpr, TILE: tl.constexpr, TILE_COLUMNS: tl.constexpr):
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    column = tl.program_id(2) * TILE_COLUMNS + tl.arange(0, TILE_COLUMNS)
    mask = (pixel < pixels)[:, None] & (column < COLUMNS)[None, :]
    a, b, c, d, down, across = corners(
        pixel, width, coarse_height, coarse_width, scale_y, scale_x)
    value = read_between(coarse + image * coarse_image, a, b, c, d, down, across, coarse_row,
                       column, coarse_column, mask)
    if ADD:
        value += read(rows + image * rows_image, pixel, rows_row, column, rows_column, mask)
    place = image * pixels * COLUMNS + pixel[:, None] * COLUMNS + column[None, :]
    tl.store(output + place, value.to(output.dtype.element_ty), mask=mask)


@triton.jit
def _near(t):
    """Return the bicubic weight of a sample at distance t, which is at most 1."""
    return (1.25 * t - 2.25) * t * t + 1.0


@triton.jit
def _far(t):
    """Return the bicubic weight of a sample at distance t, from 1 to 2."""
    return ((-0.75 * t + 3.75) * t - 6.0) * t + 3.0


@triton.jit
def _weight(place, t):
    """Return the weight of the last sample but one before a point, and of the three after it."""
    if place == 0:
        return _far(t + 1.0)
    elif place == 1:
        return _near(t)
    elif place == 2:
        return _near(1.0 - t)
    else:
        return _far(2.0 - t)


@triton.jit
def _bicubic_kernel(grid, grid_row, grid_column, output, pixels, width, height_from, width_from,
                    coarse_height, coarse_width, scale_y, scale_x, TILE: tl.constexpr):
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    y = ((pixel // width + height_from).to(tl.float32) + 0.5) * scale_y - 0.5
    x = ((pixel % width + width_from).to(tl.float32) + 0.5) * scale_x - 0.5
    top, left = tl.floor(y), tl.floor(x)
    down, across = y - top, x - left
    depth = tl.zeros([TILE], tl.float32)
    for i in tl.static_range(4):
        row = tl.minimum(tl.maximum(top.to(tl.int32) + (i - 1), 0), coarse_height - 1)
        value = tl.zeros([TILE], tl.float32)
        for j in tl.static_range(4):
            column = tl.minimum(tl.maximum(left.to(tl.int32) + (j - 1), 0), coarse_width - 1)
            value += _weight(j, across) * tl.load(
                grid + row * grid_row + column * grid_column, mask=pixel < pixels, other=0.0)
        depth += _weight(i, down) * value
    tl.store(output + pixel, depth, mask=pixel < pixels)


def upsample(grid: Tensor, size: Size) -> Tensor:
    """See :func:`..upsample`."""
    height, width = grid.shape[2:]
    coarse = grid.permute(0, 2, 3, 1).flatten(1, 2)
    fine: Tensor = _resize(coarse, None, (height, width), size).unflatten(1, size)
    return fine.permute(0, 3, 1, 2)


def add_upsampled(rows: Tensor, coarse: Tensor, before: Size, size: Size) -> Tensor:
    """See :func:`..add_upsampled`."""
    return _resize(coarse, rows, before, size)


def _resize(coarse: Tensor, rows: Tensor | None, before: Size, size: Size) -> Tensor:
    images, _, columns = coarse.shape
    pixels = size[0] * size[1]
    output = torch.empty((images, pixels, columns), device=coarse.device,
                         dtype=coarse.dtype if rows is None else rows.dtype)
    tile_columns = min(triton.next_power_of_2(columns), 256)
    tile = 2 * rows_a_tile(tile_columns)
    grid = (triton.cdiv(pixels, tile), images, triton.cdiv(columns, tile_columns))
    added = coarse if rows is None else rows
    _upsample_kernel[grid](
        coarse, *coarse.stride(), added, *added.stride(), output, pixels, size[1], *before,
        *scales(before, size), COLUMNS=columns, ADD=rows is not None, TILE=tile,
        TILE_COLUMNS=tile_columns, **LAUNCH)
    return output


def bicubic(grid: Tensor, size: Size, start: Size, kept: Size) -> Tensor:
    """See :func:`..bicubic`."""
    height, width = grid.shape
    pixels, tile = kept[0] * kept[1], ELEMENTS // 4
    output = torch.empty(kept, dtype=torch.float32, device=grid.device)
    _bicubic_kernel[(triton.cdiv(pixels, tile),)](
        grid, *grid.stride(), output, pixels, kept[1], *start, height, width,
        height / size[0], width / size[1], TILE=tile, **LAUNCH)
    return output


def rows_a_tile(columns: int) -> int:
    """Return how many rows of so many columns, a power of 2, a program works on."""
    return max(ELEMENTS // columns, 1)


def scales(before: Size, size: Size) -> tuple[float, float]:
    """Return the coarse pixels a fine one, down and across."""
    down, across = ((coarse - 1) / (fine - 1) if fine > 1 else 0.0
                    for coarse, fine in zip(before, size, strict=True))
    return down, across
