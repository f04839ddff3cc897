# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless compression of 16-bit depth (A. D. Wilson, ISS 2017): the encoder.

An image is runs of zeros and runs of other pixels in turn. Each run is its length; the second
kind goes on with the difference of each pixel from the one before. A number is digits of 3 bits,
the lowest first, each in a nibble whose highest bit says that more follow.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

SIZE = struct.Struct('<II')
"""What image_transport puts before the stream: columns, rows."""

Numbers = NDArray[np.int32]


def encode_rvl(image: NDArray[np.uint16]) -> bytes:
    """
    Encode an image.

    :param image: uint16, H×W.
    :return: columns and rows as little-endian 32-bit numbers, then the stream.
    """
    return SIZE.pack(*image.shape[::-1]) + _packed(*_digits(_numbers(image.ravel())))


def _numbers(pixels: NDArray[np.uint16]) -> Numbers:
    """Return all that is written of the pixels, in order: lengths of runs, and differences."""
    some = pixels != 0
    zeros, others = _runs(some)
    difference = np.diff(pixels[some].astype(np.int32), prepend=0)
    zigzag = (difference << 1) ^ (difference >> 31)
    starts = np.cumsum(others) - others
    lengths = np.stack([zeros, others], axis=1).ravel()
    return np.asarray(np.insert(zigzag, np.repeat(starts, 2), lengths), np.int32)


def _runs(some: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lengths of the runs of zeros and of the runs that follow each."""
    edges = np.flatnonzero(some[1:] != some[:-1]) + 1
    lengths = np.diff(edges, prepend=0, append=some.size)
    if some[0]:
        lengths = np.concatenate(([0], lengths))
    if len(lengths) % 2:
        lengths = np.concatenate((lengths, [0]))
    return lengths[0::2], lengths[1::2]


def _digits(numbers: Numbers) -> tuple[Numbers, NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers, how many digits each has, and where its first one stands."""
    count = np.ones(len(numbers), np.int64)
    limit = 8
    while limit <= int(numbers.max()):
        count += numbers >= limit
        limit *= 8
    return numbers, count, np.cumsum(count) - count


def _packed(numbers: Numbers, count: NDArray[np.int64], first: NDArray[np.int64]) -> bytes:
    """Return the nibbles in little-endian 32-bit words, from the highest to the lowest."""
    length = int(first[-1] + count[-1])
    nibbles = np.zeros(length + -length % 8, np.uint8)
    nibbles[first] = numbers & 7
    longer, place = np.flatnonzero(count > 1), 1
    while len(longer):
        nibbles[first[longer] + place - 1] |= 8
        nibbles[first[longer] + place] = (numbers[longer] >> (3 * place)) & 7
        place += 1
        longer = longer[count[longer] > place]
    return ((nibbles[0::2] << 4) | nibbles[1::2]).view('>u4').astype('<u4').tobytes()
