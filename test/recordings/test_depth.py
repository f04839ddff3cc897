# SPDX-License-Identifier: Apache-2.0
"""Depth out of every form that recordings have it in, against encoders written apart."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from depth_estimation_ros.recordings import RecordingError, depth_of, metres
from depth_estimation_ros.recordings.rvl import decode_rvl

from .bags import START, TYPES, compressed, image

RNG = np.random.default_rng(5)
SCENE = np.clip(RNG.normal(3000, 900, (48, 64)).astype(np.int64), 300, 9000).astype(np.uint16)
SCENE[10:20, 5:30] = 0
SCENE[0, :] = 0
SCENE[-1, -1] = 65535
QUANTISATION, FARTHEST = 100.0, 10.0


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode('.png', pixels)[1])


def rvl(pixels: np.ndarray) -> bytes:
    """Encode value by value: digits of three bits, the lowest first, eight to a word."""
    digits: list[int] = []

    def put(number: int) -> None:
        while number > 7:
            digits.append(number % 8 + 8)
            number //= 8
        digits.append(number)

    flat, before, place = [int(value) for value in pixels.ravel()], 0, 0
    while place < len(flat):
        for wanted in (True, False):
            run = place
            while run < len(flat) and (flat[run] == 0) == wanted:
                run += 1
            put(run - place)
            for value in () if wanted else flat[place:run]:
                put(2 * (value - before) if value >= before else 2 * (before - value) - 1)
                before = value
            place = run
    digits += [0] * (-len(digits) % 8)
    words = [int(''.join(f'{digit:x}' for digit in digits[first:first + 8]), 16)
             for first in range(0, len(digits), 8)]
    return struct.pack(f'<II{len(words)}I', *pixels.shape[::-1], *words)


def inverse(scene: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Quantise metres as inverse depth; return the configuration and the code."""
    scale = QUANTISATION * (QUANTISATION + 1)
    offset = 1 - scale / FARTHEST
    with np.errstate(divide='ignore'):
        code = np.where((scene > 0) & (scene < FARTHEST), scale / scene + offset, 0)
    return struct.pack('<iff', 0, scale, offset), code.astype(np.uint16)


METRES = np.where(SCENE == 0, np.nan, SCENE / 1000).astype(np.float32)
HEADER, CODE = inverse(np.where(SCENE == 0, 0, SCENE / 1000))
EXACT = {
    '16UC1; compressedDepth png': bytes(12) + png(SCENE),
    '16UC1; compressedDepth': bytes(12) + png(SCENE),
    '16UC1': bytes(12) + png(SCENE),
    '16UC1; compressedDepth rvl': bytes(12) + rvl(SCENE),
    '16UC1; png compressed ': png(SCENE),
    '16UC1; png': png(SCENE),
    '32FC1; tiff compressed ': bytes(cv2.imencode('.tiff', METRES)[1]),
}


@pytest.mark.parametrize('name', EXACT)
def test_what_is_compressed_without_loss(name):
    message = compressed(EXACT[name], name, START).message
    assert np.array_equal(metres(message), METRES, equal_nan=True)
    assert depth_of(message).dtype == (np.float32 if name.startswith('32') else np.uint16)


@pytest.mark.parametrize(('name', 'data'), [
    ('32FC1; compressedDepth png', HEADER + png(CODE)), ('32FC1', HEADER + png(CODE)),
    ('32FC1; compressedDepth', HEADER + png(CODE)),
    ('32FC1; compressedDepth rvl', HEADER + rvl(CODE))])
def test_inverse_depth_comes_back_within_its_quantisation(name, data):
    depth = metres(compressed(data, name, START).message)
    near = (METRES > 0.5) & (METRES < 8)
    step = METRES**2 / (QUANTISATION * (QUANTISATION + 1))
    assert near.sum() > 2000
    assert (np.abs(depth - METRES)[near] <= 1.01 * step[near]).all()
    assert np.isnan(depth[SCENE == 0]).all() and np.isnan(depth[-1, -1])


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize(('encoding', 'kind'), [
    ('16UC1', 'u2'), ('mono16', 'u2'), ('32FC1', 'f4')])
def test_raw_depth_with_padded_rows_in_either_byte_order(encoding, kind, order):
    pixels = (METRES if kind == 'f4' else SCENE).astype(order + kind)
    rows = np.zeros((48, 70), order + kind)
    rows[:, :64] = pixels
    message = TYPES.types['sensor_msgs/msg/Image'](
        None, 48, 64, encoding, int(order == '>'), rows.strides[0],
        np.frombuffer(rows.tobytes(), np.uint8))
    assert np.array_equal(metres(message), METRES, equal_nan=True)


BROKEN = {
    'a JPEG that is not depth': ('16UC1; jpeg', bytes(cv2.imencode('.jpg', SCENE >> 8)[1])),
    'no data': ('16UC1; compressedDepth png', b''),
    'the header alone': ('32FC1; compressedDepth png', HEADER),
    'a PNG that breaks off': ('16UC1; compressedDepth', bytes(12) + png(SCENE)[:60]),
    'a quantisation of zero': ('32FC1; compressedDepth', bytes(12) + png(CODE)),
    'RVL that breaks off': ('16UC1; compressedDepth rvl', bytes(12) + rvl(SCENE)[:200]),
    'RVL without a size': ('16UC1; compressedDepth rvl', bytes(12) + b'abc'),
    'RVL of an impossible size': ('16UC1; compressedDepth rvl', bytes(12) + b'\xff' * 40),
    'RVL of endless digits': ('16UC1; compressedDepth rvl',
                              bytes(12) + struct.pack('<II', 4, 4) + b'\xff' * 40 + bytes(4)),
}


@pytest.mark.parametrize('case', BROKEN)
def test_what_is_broken_is_named(case):
    name, data = BROKEN[case]
    with pytest.raises(RecordingError):
        depth_of(compressed(data, name, START).message)


def test_an_image_of_colours_is_no_depth():
    said = image(np.zeros((4, 4, 3), np.uint8), 'bgr8', START)
    with pytest.raises(RecordingError, match="'bgr8' is no depth"):
        depth_of(said.message)


@pytest.mark.parametrize('change', [{'step': 10}, {'height': 0}, {'height': 4000}])
def test_a_raw_image_that_does_not_fit_its_bytes_is_named(change):
    message = image(SCENE, '16UC1', START).message
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(RecordingError, match='does not fit'):
        depth_of(message)


def test_rvl_of_many_images():
    for _ in range(50):
        pixels = RNG.integers(0, 65536, RNG.integers(1, 20, 2)).astype(np.uint16)
        pixels[RNG.random(pixels.shape) < RNG.random()] = 0
        assert np.array_equal(decode_rvl(rvl(pixels)), pixels)


def test_rvl_bytes_at_random_are_refused_or_decoded():
    for seed in range(200):
        data = struct.pack('<II', 8, 8) + np.random.default_rng(seed).bytes(60)
        try:
            assert decode_rvl(data).shape == (8, 8)
        except RecordingError as error:
            assert 'RVL' in str(error)
