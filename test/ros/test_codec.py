# SPDX-License-Identifier: Apache-2.0
"""The codec: exactly the pixels that a message declares, or one error that says why not."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_estimation_ros.ros.codec import ENCODINGS, CodecError, decode, encode

Pixels = NDArray[Any]

ORDER = {'rgb': [0, 1, 2], 'bgr': [2, 1, 0], 'rgba': [0, 1, 2], 'bgra': [2, 1, 0],
         'mono': [0, 0, 0], '8uc1': [0, 0, 0], '8uc3': [2, 1, 0], '8uc4': [2, 1, 0]}
"""Which channel is red, green and blue."""

COLOURS = ('rgb', 'bgr', 'rgba', 'bgra', 'mono')

MOSAIC = {'rggb': ((0, 1), (1, 2)), 'bggr': ((2, 1), (1, 0)), 'gbrg': ((1, 2), (0, 1)),
          'grbg': ((1, 0), (2, 1))}
"""Which colour the pixels of a 2x2 cell see."""

PACKED = {'yuv422': (1, 0), 'uyvy': (1, 0), 'yuv422_yuy2': (0, 1), 'yuyv': (0, 1)}
"""Where brightness and colour lie within a pixel's two bytes."""

def channels_of(encoding: str) -> int:
    if encoding in PACKED:
        return 2
    return {'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4, '8uc3': 3, '8uc4': 4}.get(kind(encoding), 1)


def kind(encoding: str) -> str:
    return encoding if encoding in ORDER else encoding.rstrip('0123456789')


def message_of(pixels: Pixels, encoding: str, height: int, *, padding: int = 0,
               big_endian: bool = False) -> Image:
    """Return a message with rows padded by rubbish; ``pixels`` are in this machine's order."""
    stored = pixels.astype(pixels.dtype.newbyteorder('>' if big_endian else '<'))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(len(pixels), -1)
    rubbish = np.random.default_rng(9).integers(0, 256, (len(rows), padding), np.uint8)
    if encoding == 'nv24':  # a row of U, V pairs is two steps long, its padding at the end
        chroma = rows[height:].reshape(height, -1), rubbish[height:].reshape(height, -1)
        return Image(height=height, width=pixels.shape[1], encoding=encoding,
                     step=rows.shape[1] + padding,
                     data=np.hstack([rows[:height], rubbish[:height]]).tobytes()
                     + np.hstack(chroma).tobytes())
    return Image(height=height, width=pixels.shape[1], encoding=encoding,
                 step=rows.shape[1] + padding, is_bigendian=big_endian,
                 data=np.hstack([rows, rubbish]).tobytes())


def random_pixels(encoding: str, height: int, width: int, seed: int = 0) -> Pixels:
    rows = {'nv12': height * 3 // 2, 'nv21': height * 3 // 2, 'nv24': height * 3}.get(
        encoding, height)
    dtype = np.uint16 if encoding.endswith('16') else np.uint8
    shape = (rows, width, channels_of(encoding)) if channels_of(encoding) > 1 else (rows, width)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def reference(pixels: Pixels, encoding: str, height: int) -> Pixels:
    """Return what a message's pixels are in RGB, floating point where OpenCV may round."""
    name = kind(encoding)
    if name in ORDER:
        colour = np.atleast_3d(pixels)[:, :, ORDER[name]]
    elif name.startswith('bayer'):
        pattern = name.removeprefix('bayer_').upper()
        colour = cv2.cvtColor(pixels, getattr(cv2, f'COLOR_Bayer{pattern}2RGB'))
    else:
        return from_yuv(*planes(pixels, encoding, height))
    return np.rint(colour / 257) if colour.dtype == np.uint16 else colour


def planes(pixels: Pixels, encoding: str, height: int) -> tuple[Pixels, Pixels, Pixels]:
    """Return Y, U and V at every pixel."""
    if encoding in PACKED:
        bright, colour = PACKED[encoding]
        chroma = pixels[:, :, colour].repeat(2, axis=1)
        return pixels[:, :, bright], chroma[:, ::4].repeat(2, axis=1), chroma[:, 2::4].repeat(
            2, axis=1)
    if encoding == 'nv24':
        chroma = pixels[height:].reshape(height, -1, 2)
        return pixels[:height], chroma[:, :, 0], chroma[:, :, 1]
    chroma = pixels[height:].reshape(height // 2, -1, 2).repeat(2, axis=0).repeat(2, axis=1)
    first, second = chroma[:, :, 0], chroma[:, :, 1]
    return (pixels[:height], first, second) if encoding == 'nv12' else (
        pixels[:height], second, first)


def from_yuv(y: Pixels, u: Pixels, v: Pixels) -> Pixels:
    """Convert by BT.601, limited range."""
    y, u, v = 1.164383 * (y.astype(float).clip(16) - 16), u.astype(float) - 128, v - 128.0
    rgb = np.stack([y + 1.596027 * v, y - 0.391762 * u - 0.812968 * v, y + 2.017232 * u], axis=-1)
    return rgb.clip(0, 255)


@given(encoding=st.sampled_from(sorted(ENCODINGS)), height=st.integers(1, 9),
       width=st.integers(1, 9), padding=st.integers(0, 9), big_endian=st.booleans(),
       seed=st.integers(0, 99))
@settings(deadline=None, max_examples=400)
def test_any_message_decodes_to_its_pixels(encoding: str, height: int, width: int, padding: int,
                                           big_endian: bool, seed: int) -> None:
    height *= 2 if encoding in ('nv12', 'nv21') else 1
    width *= 2 if encoding in ('nv12', 'nv21', *PACKED) else 1
    pixels = random_pixels(encoding, height, width, seed)
    message = message_of(pixels, encoding, height, padding=padding, big_endian=big_endian)
    before = message.data.tobytes()
    rgb = decode(message)
    assert rgb.dtype == np.uint8 and rgb.shape == (height, width, 3)
    tolerance = 1 if encoding.startswith('nv') or encoding in PACKED else 0
    difference = np.abs(rgb - reference(pixels, encoding, height).astype(float))
    assert difference.max() <= tolerance
    assert message.data.tobytes() == before


def test_every_common_encoding_is_taken() -> None:
    assert set(ENCODINGS) == {
        *(f'{name}{bits}' for name in COLOURS for bits in (8, 16)),
        *(f'bayer_{pattern}{bits}' for pattern in MOSAIC for bits in (8, 16)),
        *PACKED, 'nv12', 'nv21', 'nv24', '8uc1', '8uc3', '8uc4'}


@pytest.mark.parametrize('pattern', MOSAIC)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_the_mosaic_of_one_colour_is_that_colour(pattern: str, dtype: Any) -> None:
    colour = np.array([200, 90, 30])
    cell = colour[np.array(MOSAIC[pattern])] * (257 if dtype == np.uint16 else 1)
    pixels = np.tile(cell, (4, 5)).astype(dtype)
    encoding = f'bayer_{pattern}{8 * pixels.itemsize}'
    assert (decode(message_of(pixels, encoding, 8)) == colour).all()


def test_the_case_of_an_encoding_does_not_matter() -> None:
    pixels = random_pixels('bgr8', 4, 5)
    assert (decode(message_of(pixels, 'BGR8', 4)) == pixels[:, :, ::-1]).all()


def test_rgb_is_viewed_not_copied() -> None:
    message = message_of(random_pixels('rgb8', 4, 5), 'rgb8', 4, padding=3)
    assert np.shares_memory(decode(message), np.frombuffer(message.data, np.uint8))


def test_the_last_row_needs_no_padding() -> None:
    pixels = random_pixels('bgr8', 4, 5)
    message = message_of(pixels, 'bgr8', 4, padding=6)
    del message.data[-6:]
    assert (decode(message) == pixels[:, :, ::-1]).all()


UNKNOWN = {
    **dict.fromkeys(['', 'jpeg', 'nv42', 'rgb 8', '24UC1'], 'is not one .* rgb8, .*nv12'),
    **dict.fromkeys(['32FC1', '16UC1', '64FC1'], 'depth cameras send: remap'),
    **dict.fromkeys(['8UC', '8SC1', '16UC3', '32SC4', '64FC2', '8UC5'], "encoding='bgr8'"),
    '8UC2': r'yuv422_yuy2 \(yuyv\) or yuv422'}


@pytest.mark.parametrize('encoding', UNKNOWN)
def test_an_encoding_without_colours_is_named_with_the_remedy(encoding: str) -> None:
    with pytest.raises(CodecError, match=f"encoding '{encoding}' .*{UNKNOWN[encoding]}"):
        decode(Image(height=2, width=2, step=64, encoding=encoding, data=bytes(128)))


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
@pytest.mark.parametrize('encoding', ['mono16', 'bgr16', 'rgba16', 'bayer_rggb16'])
def test_the_bits_in_use_span_all_brightness(encoding: str, bits: int) -> None:
    shape = (4, 6, channels_of(encoding))[:2 if channels_of(encoding) == 1 else 3]
    for share in (0, 1 / 3, 1):
        pixels = np.full(shape, round(share * (2**bits - 1)), np.uint16)
        rgb = decode(message_of(pixels, encoding, 4, padding=2), bits)
        assert (rgb == round(255 * share)).all()


@pytest.mark.parametrize(('wrong', 'reason'), [
    ({'height': 0}, 'none'), ({'width': 0}, 'none'), ({'step': 11}, 'step is 11 bytes'),
    ({'step': 0}, 'step is 0 bytes'), ({'height': 4}, 'data holds 36 bytes'),
    ({'step': 13}, 'data holds 36 bytes'), ({'data': b''}, 'data holds 0 bytes'),
    ({'data': bytes(35)}, 'data holds 35 bytes'),
    ({'height': 10**5, 'width': 10**5}, '100000x100000 pixels, more than')], ids=str)
def test_size_step_and_data_that_disagree_are_named(wrong: dict[str, Any], reason: str) -> None:
    sound = {'height': 3, 'width': 4, 'step': 12, 'encoding': 'bgr8', 'data': bytes(36)}
    decode(Image(**sound))
    with pytest.raises(CodecError, match=reason):
        decode(Image(**{**sound, **wrong}))


@pytest.mark.parametrize(('encoding', 'height', 'width'), [
    ('yuv422', 2, 3), ('yuyv', 2, 5), ('nv12', 3, 4), ('nv21', 4, 3)])
def test_sides_that_must_be_even_are_named(encoding: str, height: int, width: int) -> None:
    with pytest.raises(CodecError, match=f'{encoding} needs even sides'):
        decode(Image(height=height, width=width, step=99, encoding=encoding, data=bytes(999)))


SIDES = st.one_of(st.integers(0, 12), st.integers(0, 2**32 - 1))


@given(SIDES, SIDES, SIDES, st.sampled_from([*ENCODINGS, '32FC1', '']), st.integers(0, 255),
       st.integers(0, 400))
@example(2**32 - 1, 2**32 - 1, 2**32 - 1, 'bgra16', 0, 0)
@example(2**16, 2**10, 2**32 - 1, 'mono8', 1, 8)
@settings(deadline=None, max_examples=300)
def test_whatever_a_message_declares_the_only_error_is_the_codecs(
        height: int, width: int, step: int, encoding: str, endian: int, size: int) -> None:
    message = Image(height=height, width=width, step=step, encoding=encoding, is_bigendian=endian,
                    data=bytes(size))
    tracemalloc.start()
    try:
        assert decode(message).shape == (height, width, 3)
    except CodecError as error:
        assert str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2**20


def header() -> Header:
    made = Header(frame_id='camera_optical_frame')
    made.stamp.sec, made.stamp.nanosec = 12, 345
    return made


def test_depth_is_carried_to_the_bit() -> None:
    depth = np.random.default_rng(0).uniform(0, 80, (6, 7)).astype(np.float32)
    depth[0, :5] = np.nan, np.inf, -np.inf, -0.0, np.float32(1e-42)
    message = encode(depth, '32FC1', header())
    assert (message.height, message.width, message.step) == (6, 7, 28)
    assert message.encoding == '32FC1' and message.header == header()
    assert bool(message.is_bigendian) == (sys.byteorder == 'big')
    assert message.data.tobytes() == depth.tobytes()


@pytest.mark.parametrize('view', [
    lambda pixels: pixels[::-1], lambda pixels: pixels[:, ::2], np.transpose,
    np.asfortranarray], ids=['mirrored', 'strided', 'transposed', 'fortran'])
def test_any_layout_in_memory_is_encoded(view: Any) -> None:
    depth = view(np.arange(24, dtype=np.float32).reshape(4, 6))
    message = encode(depth, '32FC1', header())
    seen = np.frombuffer(message.data, np.float32).reshape(message.height, message.width)
    assert np.array_equal(seen, depth)


def test_colour_comes_back_as_it_went() -> None:
    bgr = random_pixels('bgr8', 5, 7)
    message = encode(bgr, 'bgr8', header())
    assert message.step == 21
    assert (decode(message) == bgr[:, :, ::-1]).all()
