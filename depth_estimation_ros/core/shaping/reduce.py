# SPDX-License-Identifier: Apache-2.0
"""A smaller depth image whose every pixel is one that was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..device_constants import device_constant
from ..geometry import scale_intrinsics

PICKS = ('nearest', 'minimum')
"""Which pixel of a cell is taken: the valid one nearest to its centre, or the least distance."""


@dataclass(frozen=True)
class Reduction:
    """The cells that a depth image is divided into, each of which becomes a pixel."""

    source: tuple[int, int]
    """Rows and columns before."""
    size: tuple[int, int]
    """Rows and columns after."""
    scale: tuple[float, float]
    """Along rows' and columns' coordinates, new pixels in one of the old."""

    @classmethod
    def by_stride(cls, source: tuple[int, int], stride: int) -> Reduction:
        """
        Make cells of stride × stride pixels; rows and columns that fill no cell are left out.

        :param source: rows and columns.
        :param stride: at least 1, and no more than either side.
        """
        rows, columns = source
        return cls._checked(source, (rows // stride, columns // stride), (1 / stride, 1 / stride))

    @classmethod
    def to_size(cls, source: tuple[int, int], height: int, width: int) -> Reduction:
        """
        Divide the whole image into height × width cells.

        :param source: rows and columns.
        :param height: new rows; 0 follows the width in the image's proportion.
        :param width: new columns; 0 follows the height; both 0 change nothing.
        """
        rows, columns = source
        if not height and not width:
            height, width = source
        size = (height or max(round(rows * width / columns), 1),
                width or max(round(columns * height / rows), 1))
        return cls._checked(source, size, (size[0] / rows, size[1] / columns))

    @classmethod
    def _checked(cls, source: tuple[int, int], size: tuple[int, int],
                 scale: tuple[float, float]) -> Reduction:
        if not all(1 <= new <= old for new, old in zip(size, source, strict=True)):
            raise ValueError(f'depth of {source[1]}x{source[0]} pixels cannot be reduced to '
                             f'{size[1]}x{size[0]}: each side must be from 1 to its own length')
        return cls(source, size, scale)

    def intrinsics(self, matrix: Sequence[float], columns: int) -> list[float]:
        """
        Return K or P of the reduced image.

        A pixel stands for the middle of its cell, so its ray is off by half a cell at most.

        :param matrix: row-major, of the image before.
        :param columns: 3 for K, 4 for P.
        """
        return scale_intrinsics(matrix, columns, self.scale[1], self.scale[0])


def reduce_depth(depth: Tensor, reduction: Reduction, pick: str) -> Tensor:
    """
    Reduce a depth image; a distance is never a mean of others.

    A cell without any finite pixel is NaN where one of them is, else -Inf where one is, else
    +Inf (REP 117): only what is free throughout is free.

    :param depth: float32 metres along Z, H×W, of the reduction's source; is not changed.
    :param reduction: the cells.
    :param pick: one of :data:`PICKS`.
    :return: float32, height×width, on the same device; ``depth`` itself where that is its size.
    """
    if reduction.source == reduction.size:
        return depth
    rows, columns = _cells(reduction, depth.device)
    best = depth.new_full(reduction.size, torch.nan if pick == 'nearest' else torch.inf)
    least = depth.new_full(reduction.size, torch.inf)
    for row, column in _outwards(len(rows), len(columns)):
        pixels = depth.index_select(0, rows[row]).index_select(1, columns[column])
        if pick == 'nearest':
            best = torch.where(best.isfinite(), best, pixels)
        else:
            best = torch.where(pixels.isfinite(), torch.minimum(best, pixels), best)
        least = torch.minimum(least, pixels)
    return torch.where(best.isfinite(), best, least)


@device_constant
def _cells(reduction: Reduction, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return, for rows and for columns, int64 n×size: a cell's pixels from its centre outwards."""
    return tuple(  # type: ignore[return-value]
        torch.from_numpy(_outward_pixels(*sides)).to(device)
        for sides in zip(reduction.source, reduction.size, reduction.scale, strict=True))


def _outward_pixels(source: int, size: int, scale: float) -> NDArray[np.int64]:
    cell = np.arange(size)
    # a pixel belongs to the cell that its centre, half a pixel from its edge, lies in
    first = np.minimum(np.ceil(cell / scale - 0.5), source - 1)
    last = np.minimum(np.ceil((cell + 1) / scale - 0.5), source) - 1
    centre = np.floor((cell + 0.5) / scale)
    reach = int((last - first).max() + 1)
    offsets = sorted(range(-reach, reach + 1), key=abs)
    pixels = [np.clip(centre + offset, first, last).astype(np.int64) for offset in offsets]
    return np.stack(_without_repeats(pixels))


def _without_repeats(pixels: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    kept: list[NDArray[np.int64]] = []
    for index in pixels:
        if not any(np.array_equal(index, other) for other in kept):
            kept.append(index)
    return kept


def _outwards(rows: int, columns: int) -> list[tuple[int, int]]:
    """Order the pixels of a cell by their distance from its centre."""
    def distance(place: tuple[int, int]) -> int:
        return sum(floor((step + 1) / 2) ** 2 for step in place)

    return sorted(((row, column) for row in range(rows) for column in range(columns)),
                  key=distance)
