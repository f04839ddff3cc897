# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless compression of 16-bit depth (A. D. Wilson, ISS 2017): the decoder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..core.rvl import SIZE
from .errors import RecordingError

MOST_RUN_PIXELS = 1 << 28


def decode_rvl(data: bytes) -> NDArray[np.uint16]:
    """
    Decode an image: runs of zeros and runs of differences, as numbers of 3-bit digits.

    :param data: columns and rows as little-endian 32-bit numbers, then the code.
    :return: uint16, H×W.
    :raises RecordingError: when the code does not fill the image.
    """
    if len(data) < SIZE.size:
        raise RecordingError(f'{len(data)} bytes hold no RVL image')
    columns, rows = SIZE.unpack_from(data)
    pixels = rows * columns
    if not 0 < pixels <= MOST_RUN_PIXELS:
        raise RecordingError(f'an RVL image of {columns}x{rows} pixels is not possible')
    numbers = _numbers(data[SIZE.size:])
    depth = np.zeros(pixels, np.uint16)
    where = np.zeros(pixels, bool)
    differences = [numbers[first:first + count]
                   for first, count in _runs(numbers, pixels, where)]
    if differences:
        zigzag = np.concatenate(differences)
        depth[where] = np.cumsum((zigzag >> 1) ^ -(zigzag & 1)).astype(np.uint16)
    return depth.reshape(rows, columns)


def _numbers(code: bytes) -> NDArray[np.int64]:
    """
    Return the numbers of a code: groups of nibbles, the lowest three bits of a number first.

    A nibble's highest bit says that more of its number follow. Nibbles lie in little-endian
    32-bit words from the highest to the lowest.
    """
    words = np.frombuffer(code, '<u4', len(code) // 4).astype(np.int64)
    nibbles = (words[:, None] >> np.arange(28, -4, -4)).ravel() & 15
    last = np.flatnonzero(nibbles < 8)
    if not len(last):
        return np.zeros(0, np.int64)
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(last[-1] + 1) - np.repeat(first, last - first + 1)
    if int(place.max()) > 10:
        raise RecordingError('the RVL code is damaged: it holds a number of over 32 bits')
    digits = (nibbles[:last[-1] + 1] & 7) << (3 * place)
    return np.asarray(np.add.reduceat(digits, first), np.int64)


def _runs(numbers: NDArray[np.int64], pixels: int,
          where: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield where in ``numbers`` each run of differences lies; mark its pixels in ``where``."""
    position = pixel = 0
    while pixel < pixels:
        if position + 2 > len(numbers):
            raise RecordingError(f'the RVL code breaks off after {pixel} of {pixels} pixels')
        zeros, count = int(numbers[position]), int(numbers[position + 1])
        position, pixel = position + 2, pixel + zeros
        if pixel + count > pixels or position + count > len(numbers):
            raise RecordingError(f'the RVL code breaks off after {pixel} of {pixels} pixels')
        where[pixel:pixel + count] = True
        yield position, count
        position, pixel = position + count, pixel + count
