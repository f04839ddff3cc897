# SPDX-License-Identifier: Apache-2.0
"""RVL against a decoder that reads digit by digit, as the paper describes the stream."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from depth_estimation_ros.core.rvl import encode_rvl

RNG = np.random.default_rng(3)


def digits(stream: bytes) -> Iterator[int]:
    """Yield the nibbles, the highest of each word first."""
    for word, in struct.iter_unpack('<I', stream):
        yield from ((word >> shift) & 15 for shift in range(28, -4, -4))


def number(left: Iterator[int]) -> int:
    value = place = 0
    while True:
        digit = next(left)
        value |= (digit & 7) << place
        place += 3
        if digit < 8:
            return value


def decoded(data: bytes) -> NDArray[np.uint16]:
    columns, rows = struct.unpack('<II', data[:8])
    left, before = digits(data[8:]), 0
    pixels: list[int] = []
    while len(pixels) < rows * columns:
        pixels += [0] * number(left)
        for _ in range(number(left)):
            step = number(left)
            before += -(step + 1) // 2 if step % 2 else step // 2
            pixels.append(before)
    assert set(left) <= {0}, 'more than the padding of the last word is left'
    return np.array(pixels, np.uint16).reshape(rows, columns)


def scene() -> NDArray[np.uint16]:
    """Smooth depth with noise, holes, a border without depth, and both ends."""
    ramp = np.linspace(300, 9000, 48)[:, None] + np.linspace(0, 40, 64)
    pixels = (ramp + RNG.normal(0, 3, ramp.shape)).astype(np.uint16)
    pixels[10:20, 5:30] = pixels[0] = pixels[:, -2:] = 0
    pixels[-1, -1], pixels[1, 0] = 65535, 1
    return pixels


IMAGES = {
    'a scene': scene(), 'all zeros': np.zeros((4, 5), np.uint16),
    'no zero': np.full((3, 7), 65535, np.uint16), 'one pixel': np.array([[9]], np.uint16),
    'one hole': np.array([[0]], np.uint16), 'turns': np.array([[0, 65535] * 9], np.uint16),
    'a column': np.arange(9, dtype=np.uint16)[:, None],
    'noise': RNG.integers(0, 65536, (31, 17)).astype(np.uint16),
}


@pytest.mark.parametrize('name', IMAGES)
def test_an_image_comes_back(name: str) -> None:
    np.testing.assert_array_equal(decoded(encode_rvl(IMAGES[name])), IMAGES[name])


def test_a_stream_as_the_paper_packs_it() -> None:
    image = np.array([[0, 0, 5, 4, 0]], np.uint16)
    # 2 zeros, 2 others, +5 as 10 = 2 + 8·1, -1 as 1, then a zero and none
    assert encode_rvl(image) == struct.pack('<III', 5, 1, 0x22A11100)


def test_many_images_of_any_size() -> None:
    for _ in range(50):
        image = RNG.integers(0, 65536, RNG.integers(1, 20, 2)).astype(np.uint16)
        image[RNG.random(image.shape) < RNG.random()] = 0
        np.testing.assert_array_equal(decoded(encode_rvl(image)), image)


def test_rows_that_are_not_contiguous() -> None:
    wide = scene()
    np.testing.assert_array_equal(decoded(encode_rvl(wide[:, ::2])), wide[:, ::2])
