"""The codec: exactly the pixels that a message declares, or one error that says why not."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tracemalloc
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from depth_estimation_ros.ros.codec import ENCODINGS, CodecError, decode, decompress, encode

Pixels = NDArray[Any]

ORDER = {'rgb': [0, 1, 2], 'bgr': [2, 1, 0], 'rgba': [0, 1, 2], 'bgra': [2, 1, 0],
         'mono': [0, 0, 0]}
"""Which channel is red, green and blue."""

MOSAIC = {'rggb': ((0, 1), (1, 2)), 'bggr': ((2, 1), (1, 0)), 'gbrg': ((1, 2), (0, 1)),
          'grbg': ((1, 0), (2, 1))}
"""Which colour the pixels of a 2x2 cell see."""

PACKED = {'yuv422': (1, 0), 'uyvy': (1, 0), 'yuv422_yuy2': (0, 1), 'yuyv': (0, 1)}
"""Where brightness and colour lie within a pixel's two bytes."""

BOMB = """
import resource
import sys
import depth_estimation_ros.ros.camera
from depth_estimation_ros.ros.codec import CodecError, decompress
from sensor_msgs.msg import CompressedImage

message = CompressedImage(format='jpeg')
message.data.frombytes(sys.stdin.buffer.read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decompress(message)
except CodecError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def channels_of(encoding: str) -> int:
    return {'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}.get(
        encoding.rstrip('0123456789'), 2 if encoding in PACKED else 1)


def message_of(pixels: Pixels, encoding: str, height: int, *, padding: int = 0,
               big_endian: bool = False) -> Image:
    """Return a message with rows padded by rubbish; ``pixels`` are in this machine's order."""
    stored = pixels.astype(pixels.dtype.newbyteorder('>' if big_endian else '<'))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(len(pixels), -1)
    rubbish = np.random.default_rng(9).integers(0, 256, (len(rows), padding), np.uint8)
    return Image(height=height, width=pixels.shape[1], encoding=encoding,
                 step=rows.shape[1] + padding, is_bigendian=big_endian,
                 data=np.hstack([rows, rubbish]).tobytes())


def random_pixels(encoding: str, height: int, width: int, seed: int = 0) -> Pixels:
    rows = height * 3 // 2 if encoding.startswith('nv') else height
    dtype = np.uint16 if encoding.endswith('16') else np.uint8
    shape = (rows, width, channels_of(encoding)) if channels_of(encoding) > 1 else (rows, width)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def reference(pixels: Pixels, encoding: str, height: int) -> Pixels:
    """Return what a message's pixels are in RGB, floating point where OpenCV may round."""
    name = encoding.rstrip('0123456789')
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
    height *= 2 if encoding.startswith('nv') else 1
    width *= 2 if encoding.startswith('nv') or encoding in PACKED else 1
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
        *(f'{name}{bits}' for name in ORDER for bits in (8, 16)),
        *(f'bayer_{pattern}{bits}' for pattern in MOSAIC for bits in (8, 16)),
        *PACKED, 'nv12', 'nv21'}


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


@pytest.mark.parametrize('encoding', ['', '32FC1', '16UC1', '8UC3', 'jpeg', 'nv24', 'rgb 8'])
def test_an_unknown_encoding_is_named(encoding: str) -> None:
    with pytest.raises(CodecError, match=f"encoding '{encoding}' is not one .* rgb8, .*nv12"):
        decode(Image(height=2, width=2, step=24, encoding=encoding, data=bytes(48)))


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


def smooth_bgr(height: int = 48, width: int = 64) -> Pixels:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.float32)
    enlarged = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.uint8)


def packed(kind: str, pixels: Pixels) -> bytes:
    done, data = cv2.imencode(f'.{kind}', pixels)
    assert done
    return bytes(data.tobytes())


def compressed(data: bytes, kind: str = 'jpeg') -> CompressedImage:
    return CompressedImage(format=kind, data=data)


def exif(content: bytes) -> bytes:
    """Return a JPEG segment with a TIFF directory that asks for a turn by a quarter."""
    directory = struct.pack('>2sHIHHHIHHI', b'MM', 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    body = b'Exif\0\0' + directory + content
    return b'\xff\xe1' + struct.pack('>H', 2 + len(body)) + body


def test_a_png_is_decoded_exactly() -> None:
    bgr = smooth_bgr()
    assert (decompress(compressed(packed('png', bgr), 'png')) == bgr[:, :, ::-1]).all()


def test_a_jpeg_is_decoded_closely() -> None:
    bgr = smooth_bgr()
    rgb = decompress(compressed(packed('jpg', bgr)))
    assert rgb.dtype == np.uint8 and rgb.shape == bgr.shape
    assert np.abs(rgb - bgr[:, :, ::-1].astype(int)).mean() < 3


@pytest.mark.parametrize('pixels', [
    smooth_bgr()[:, :, 0], smooth_bgr().astype(np.uint16) * 257,
    np.dstack([smooth_bgr(), smooth_bgr()[:, :, :1]])], ids=['grey', '16 bit', 'alpha'])
def test_any_png_becomes_8_bit_rgb(pixels: Pixels) -> None:
    rgb = decompress(compressed(packed('png', pixels), 'png'))
    expected = smooth_bgr()[:, :, [0, 0, 0] if pixels.ndim == 2 else [2, 1, 0]]
    assert rgb.dtype == np.uint8 and (rgb == expected).all()


def test_the_orientation_in_the_file_is_ignored() -> None:
    plain = packed('jpg', smooth_bgr())
    turned = plain[:2] + exif(b'') + plain[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (64, 48, 3)
    assert np.array_equal(decompress(compressed(turned)), decompress(compressed(plain)))


def test_zeros_after_the_end_of_a_jpeg_do_no_harm() -> None:
    plain = packed('jpg', smooth_bgr())
    assert np.array_equal(
        decompress(compressed(plain + bytes(64))), decompress(compressed(plain)))


@pytest.mark.parametrize('share', [0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize('kind', ['jpg', 'png'])
def test_a_file_cut_short_is_refused(kind: str, share: float) -> None:
    whole = packed(kind, smooth_bgr(240, 320))
    with pytest.raises(CodecError, match=f"format '{kind}'"):
        decompress(compressed(whole[:int(share * len(whole))], kind))


@pytest.mark.parametrize('missing', [1, 2, 3, 500])
def test_a_jpeg_cut_short_is_refused_though_its_thumbnail_is_whole(missing: int) -> None:
    plain = packed('jpg', smooth_bgr(240, 320))
    whole = plain[:2] + exif(packed('jpg', smooth_bgr(12, 16))) + plain[2:]
    decompress(compressed(whole))
    with pytest.raises(CodecError, match='breaks off'):
        decompress(compressed(whole[:-missing]))


@given(st.sampled_from([b'', b'\xff\xd8', b'\xff\xd8\xff\xe0', b'\x89PNG\r\n\x1a\n', b'BM',
                        b'RIFF', b'II*\0']), st.binary(max_size=200))
@example(b'', b'')
@settings(deadline=None, max_examples=150)
def test_rubbish_is_refused(start: bytes, rest: bytes) -> None:
    with pytest.raises(CodecError, match="format 'odd'"):
        decompress(compressed(start + rest, 'odd'))


def png_bomb(side: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack('>I', len(content)) + body + struct.pack('>I', zlib.crc32(body))

    size = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size)
            + chunk(b'IDAT', zlib.compress(bytes(10**6))) + chunk(b'IEND', b''))


def jpeg_bomb(side: int) -> bytes:
    data = bytearray(packed('jpg', smooth_bgr()))
    frame = re.search(rb'\xff\xc0', data)
    assert frame is not None
    data[frame.start() + 5:frame.start() + 9] = struct.pack('>HH', side, side)
    return bytes(data)


@pytest.mark.parametrize('bomb', [png_bomb, jpeg_bomb])
def test_a_bomb_is_refused_before_its_memory_is_taken(bomb: Any) -> None:
    done = subprocess.run([sys.executable, '-c', BOMB], input=bomb(30000), timeout=60,
                          capture_output=True, check=True)
    *refusal, megabytes = done.stdout.decode().splitlines()
    assert refusal and "format 'jpeg'" in refusal[0]
    assert int(megabytes) < 200
