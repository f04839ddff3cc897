# SPDX-License-Identifier: Apache-2.0
"""Inverse depth in 16 bits, against the format's arithmetic written apart, for every code."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from depth_estimation_ros.core.compressed_depth import InverseDepth

RANGES = [(10.0, 100.0), (80.0, 100.0), (10.0, 30.0), (1000.0, 1000.0), (2.5, 1.0)]
"""Farthest metres and quantization."""
EVERY_CODE = np.arange(1, 65536, dtype=np.uint16)


def original_code(depth: np.float32, farthest: float, quantization: float) -> int:
    """Return what the plug-in's encoder makes of one depth that fits 16 bits, in its floats."""
    one, q, most = np.float32(1), np.float32(quantization), np.float32(farthest)
    scale = q * (q + one)
    return int(scale / depth + (one - scale / most)) if depth < most else 0


def original_depth(code: int, header: bytes) -> np.float32:
    """Return what the plug-in's decoder makes of one code."""
    scale, offset = (np.float32(value) for value in struct.unpack('<ff', header[4:12]))
    return scale / (np.float32(code) - offset) if code else np.float32(np.nan)


@pytest.mark.parametrize(('farthest', 'quantization'), RANGES)
def test_every_code_is_written_and_read_as_the_original_does(
        farthest: float, quantization: float) -> None:
    inverse = InverseDepth.up_to(farthest, quantization)
    depth = np.array([original_depth(int(code), inverse.pack()) for code in EVERY_CODE])
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(inverse.decode(EVERY_CODE), depth)
    expected = [original_code(value, farthest, quantization) for value in depth]
    assert (depth[0], expected[0]) == (farthest, 0)
    expected[0] = 1  # ours has the far end itself, as depth has it
    np.testing.assert_array_equal(inverse.encode(depth), expected)


@pytest.mark.parametrize(('farthest', 'quantization'), RANGES[:3])
def test_depth_comes_back_within_a_step(farthest: float, quantization: float) -> None:
    inverse = InverseDepth.up_to(farthest, quantization)
    nearest = inverse.decode(np.array([65535], np.uint16))[0]
    depth = np.linspace(1.001 * nearest, 0.999 * farthest, 100_000, dtype=np.float32)
    back = inverse.decode(inverse.encode(depth))
    step = depth**2 / (quantization * (quantization + 1))
    assert (back - depth >= -1e-5 * depth).all() and (back - depth <= 1.02 * step + 1e-5).all()


def codes(*depth: float) -> list[int]:
    values: NDArray[np.uint16] = InverseDepth.up_to(10.0, 100.0).encode(
        np.array([depth], np.float32))
    assert values.dtype == np.uint16
    return [int(value) for value in values[0]]


def test_what_is_no_distance_is_0() -> None:
    assert codes(np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, -1e-30) == [0] * 7


def test_what_is_too_far_is_0_and_the_farthest_is_1() -> None:
    assert codes(10.01, 80.0, 3e38) == [0, 0, 0]
    assert codes(9.99) == [2] and codes(9.9999) == [1]


def test_what_is_too_near_takes_the_nearest_distance_and_never_wraps_round() -> None:
    assert codes(0.1517, 0.15, 0.1, 0.001, 1e-38, 1e-45) == [65535] * 6
    assert 65000 < codes(0.153)[0] < 65535


def test_0_is_read_as_unknown() -> None:
    depth = InverseDepth.up_to(10.0, 100.0).decode(np.array([0, 1], np.uint16))
    np.testing.assert_equal(depth, np.array([np.nan, 10.0], np.float32))


def test_the_header_is_a_zero_and_the_two_numbers() -> None:
    assert InverseDepth.up_to(10.0, 100.0).pack() == struct.pack('<iff', 0, 10100.0, -1009.0)
    assert InverseDepth.unpack(struct.pack('<iff', 7, 12.0, -3.0)) == InverseDepth(12.0, -3.0)


def test_the_depth_itself_is_not_touched() -> None:
    depth = np.array([[0.1, np.nan, 7.0, np.inf]], np.float32)
    depth.flags.writeable = False
    InverseDepth.up_to(10.0, 100.0).encode(depth)
    np.testing.assert_equal(depth, np.array([[0.1, np.nan, 7.0, np.inf]], np.float32))
