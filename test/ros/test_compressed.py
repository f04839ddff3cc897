# SPDX-License-Identifier: Apache-2.0
"""Compressed messages: what another decoder sees, or one error that says why."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pil
from sensor_msgs.msg import CompressedImage

from depth_estimation_ros.ros.codec import ENCODINGS, CodecError
from depth_estimation_ros.ros.compressed import decompress, unpack

from .test_codec import MOSAIC

Pixels = NDArray[Any]

BOMB = """
import resource
import sys
import depth_estimation_ros.ros.camera
from depth_estimation_ros.ros.codec import CodecError
from depth_estimation_ros.ros.compressed import decompress
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
    seen = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None and seen.shape == (64, 48, 3)
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
    with pytest.raises(CodecError, match=r'breaks off|Premature end'):
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


def png_file(pixels: Pixels, *, lines: int) -> bytes:
    """Return an RGB PNG whose check sums are right and whose data hold some of the lines."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack('>I', len(content)) + kind + content + struct.pack(
            '>I', zlib.crc32(kind + content))

    height, width = pixels.shape[:2]
    data = b''.join(b'\0' + line.tobytes() for line in pixels[:lines])
    return (b'\x89PNG\r\n\x1a\n' + chunk(
        b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
        + chunk(b'IDAT', zlib.compress(data)) + chunk(b'IEND', b''))


def test_a_png_whose_data_end_early_is_refused() -> None:
    rgb = np.ascontiguousarray(smooth_bgr()[:, :, ::-1])
    whole = decompress(compressed(png_file(rgb, lines=len(rgb)), 'png'))
    assert (whole == rgb).all()
    with pytest.raises(CodecError, match="format 'png'"):
        decompress(compressed(png_file(rgb, lines=len(rgb) // 2), 'png'))


@pytest.mark.parametrize('kind', ['png', 'webp', 'gif', 'avif'])
def test_of_an_animation_the_first_picture_is_taken(kind: str) -> None:
    pictures = [Pil.new('RGB', (32, 24), colour) for colour in ('red', 'blue', 'white')]
    file = io.BytesIO()
    pictures[0].save(file, kind, save_all=True, append_images=pictures[1:])
    rgb = decompress(compressed(file.getvalue(), kind))
    assert np.abs(rgb - np.array([255, 0, 0.0])).max() <= 3


@pytest.mark.parametrize(('mode', 'options'), [
    ('P', {}), ('1', {}), ('L', {}), ('LA', {}), ('RGBA', {}), ('P', {'transparency': 3}),
    ('RGB', {'interlace': 1})], ids=str)
def test_any_kind_of_png_is_what_another_decoder_sees(mode: str, options: dict[str, Any]) -> None:
    file = io.BytesIO()
    Pil.fromarray(smooth_bgr()).convert(mode).save(file, 'png', **options)
    expected = np.asarray(Pil.open(file).convert('RGB'))
    assert (decompress(compressed(file.getvalue(), 'png')) == expected).all()


def jpeg_bomb(side: int) -> bytes:
    data = bytearray(packed('jpg', smooth_bgr()))
    frame = re.search(rb'\xff\xc0', data)
    assert frame is not None
    data[frame.start() + 5:frame.start() + 9] = struct.pack('>HH', side, side)
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize('bomb', [png_bomb, jpeg_bomb])
def test_a_bomb_is_refused_before_its_memory_is_taken(bomb: Any) -> None:
    done = subprocess.run([sys.executable, '-c', BOMB], input=bomb(30000), timeout=60,
                          capture_output=True, check=True)
    *refusal, megabytes = done.stdout.decode().splitlines()
    assert refusal and "format 'jpeg'" in refusal[0]
    assert int(megabytes) < 200


RGB = np.ascontiguousarray(smooth_bgr()[:, :, ::-1])
GREY = np.ascontiguousarray(RGB[:, :, 1])


def mosaic(pattern: str) -> Pixels:
    """Return what a sensor behind a colour filter sees of the picture."""
    seen = np.empty(RGB.shape[:2], np.uint8)
    for row, colours in enumerate(MOSAIC[pattern]):
        for column, colour in enumerate(colours):
            seen[row::2, column::2] = RGB[row::2, column::2, colour]
    return seen


def near(seen: Pixels, expected: Pixels, tolerance: float) -> bool:
    return seen.shape == expected.shape and bool(
        np.abs(seen.astype(float) - expected).mean() < tolerance)


@pytest.mark.parametrize('pattern', MOSAIC)
@pytest.mark.parametrize(('kind', 'form'), [
    ('jpg', 'bayer_{}8; jpeg compressed '), ('jpg', 'bayer_{0}8; jpeg compressed bayer_{0}8'),
    ('png', 'bayer_{}8; png compressed '), ('tiff', 'BAYER_{}8; tiff compressed')])
def test_a_mosaic_in_a_grey_file_gets_its_colours_back(pattern: str, kind: str, form: str) -> None:
    data = packed(kind, mosaic(pattern))
    assert near(decompress(compressed(data, form.format(pattern))), RGB, 6)
    assert not near(decompress(compressed(data, 'jpeg')), RGB, 15)


def test_a_mosaic_that_the_publisher_has_made_grey_stays_grey() -> None:
    data = packed('jpg', GREY)
    assert near(decompress(compressed(data, 'bayer_rggb8; jpeg compressed mono8')),
                GREY[:, :, None].repeat(3, axis=2), 3)


COLOURED = [
    'rgb8; jpeg compressed bgr8', 'bgr8; jpeg compressed bgr8', 'rgb8; png compressed bgr8',
    'rgb8; png compressed rgb8', 'RGB8; JPEG compressed BGR8', 'rgba8; jpeg compressed bgr8',
    'yuv422_yuy2; jpeg compressed bgr8', 'bayer_rggb8; jpeg compressed bgr8', 'bgr8', 'nv12; jpeg',
    'rgb8; jpeg compressed; bgr8', '8UC3; jpeg compressed ', 'rgb8; jpeg compressed ', 'jpeg',
    'jpg', 'png', '', 'JPEG', 'image/jpeg', 'anything']


@pytest.mark.parametrize('form', COLOURED)
@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'bmp', 'tiff'])
def test_the_colours_of_a_file_are_its_own_whatever_its_format_says(form: str, kind: str) -> None:
    assert near(decompress(compressed(packed(kind, smooth_bgr()), form)), RGB, 3)


def test_the_plugins_tiff_holds_the_cameras_order_as_if_it_were_blue_first() -> None:
    data = packed('tiff', RGB)  # as the plug-in hands an rgb8 image to OpenCV
    assert (decompress(compressed(data, 'rgb8; tiff compressed ')) == RGB).all()
    data = packed('tiff', smooth_bgr())
    assert (decompress(compressed(data, 'bgr8; tiff compressed ')) == RGB).all()


@pytest.mark.parametrize(('pixels', 'form'), [
    (RGB, 'bayer_rggb8; jpeg compressed '), (RGB, 'mono8; jpeg compressed mono8'),
    (GREY, 'rgb8; jpeg compressed bgr8'), (GREY, 'nv12; jpeg compressed '),
    (GREY, 'mono16; png compressed '), (RGB, 'rgb16; png compressed bgr16'),
    (GREY.astype(np.uint16), 'mono8; png compressed '), (GREY, 'bayer_rggb16; png compressed ')])
@pytest.mark.parametrize('kind', ['png', 'jpg'])
def test_a_picture_that_cannot_be_what_the_format_names_is_refused(
        pixels: Pixels, form: str, kind: str) -> None:
    if kind == 'jpg' and pixels.dtype == np.uint16:
        kind = 'tiff'
    reason = re.escape(f"format '{form}': a picture of ") + '.* cannot be'
    with pytest.raises(CodecError, match=reason):
        decompress(compressed(packed(kind, pixels), form))


DEPTH = packed('png', np.arange(48, dtype=np.uint16).reshape(6, 8))
METRES = packed('tiff', np.ones((4, 4), np.float32))


@pytest.mark.parametrize(('data', 'form', 'remedy'), [
    (bytes(12) + DEPTH, '16UC1; compressedDepth png', 'remap the input to the colour'),
    (bytes(12) + DEPTH, '16UC1; compressedDepth', 'remap the input to the colour'),
    (bytes(40), '32FC1; compressedDepth rvl', 'remap the input to the colour'),
    (bytes(12) + DEPTH, 'png', 'remap the input to the colour'),
    (DEPTH, '16UC1; png compressed ', 'depth cameras send: remap'),
    (METRES, '32FC1; tiff compressed ', 'remap'),
    (METRES, 'tiff', '1 float32 numbers, which are no colours'),
    (b'', '8UC3; jpeg compressed mono8', 'could not compress'),
    (bytes(900), 'h264', 'frame of a video'), (bytes(900), 'bgr8; hevc', 'frame of a video'),
    (b'qoif' + bytes(90), 'rgb8; qoi compressed bgr8', 'not a picture that OpenCV')])
def test_what_is_no_colour_picture_is_named_with_the_remedy(
        data: bytes, form: str, remedy: str) -> None:
    with pytest.raises(CodecError, match=f"format '{form}': .*{remedy}"):
        decompress(compressed(data, form))


def test_grey_files_of_16_bits_keep_them() -> None:
    values = GREY.astype(np.uint16) * 16
    for kind, form in (('png', 'mono16; png compressed '), ('tiff', 'mono16; tiff compressed ')):
        picture = unpack(compressed(packed(kind, values), form))
        assert picture.name == 'mono16' and np.array_equal(picture.pixels, values)
        rgb = decompress(compressed(packed(kind, values), form), 12)
        assert np.abs(rgb - GREY[:, :, None].astype(int)).max() <= 1


def test_a_grey_picture_in_a_colour_file_is_grey() -> None:
    data = packed('png', GREY[:, :, None].repeat(3, axis=2))
    assert (decompress(compressed(data, 'mono8; png compressed ')) == GREY[:, :, None]).all()


@pytest.mark.parametrize('before', [b'\xff\xd8', b'\0\0\x10\x20',
                                    b'--frame\r\nContent-Type: image/jpeg\r\n\r\n'], ids=repr)
def test_what_cameras_put_before_a_jpeg_does_no_harm(before: bytes) -> None:
    plain = packed('jpg', smooth_bgr())
    assert np.array_equal(
        decompress(compressed(before + plain)), decompress(compressed(plain)))


PICTURES = st.builds(
    lambda seed, height, width, channels, wide: np.random.default_rng(seed).integers(
        0, 65536 if wide else 256, (height, width, channels)[:2 if channels == 1 else 3],
        np.uint16 if wide else np.uint8),
    st.integers(0, 99), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4]),
    st.booleans())
FORMATS = st.one_of(
    st.sampled_from(['', 'jpeg', 'png', *COLOURED, '16UC1; compressedDepth png']),
    st.builds('{}; {} compressed {}'.format, st.sampled_from([*ENCODINGS, '16UC1', 'x']),
              st.sampled_from(['jpeg', 'png', 'tiff']), st.sampled_from(['', *ENCODINGS])),
    st.text(max_size=20))


def reference(data: bytes) -> Pixels:
    """Return what another decoder sees, as RGB of 8 bits."""
    picture = Pil.open(io.BytesIO(data))
    if picture.mode.startswith('I;16'):
        return np.rint(np.asarray(picture)[:, :, None].repeat(3, axis=2) / 257)
    return np.asarray(picture.convert('RGB'))


@given(PICTURES, st.sampled_from(['jpg', 'png', 'webp', 'bmp', 'tiff']), FORMATS,
       st.integers(0, 2**16), st.sampled_from(['', 'cut', 'flip', 'pad']))
@settings(deadline=None, max_examples=400)
def test_any_message_is_the_picture_that_another_decoder_sees_or_an_error(
        pixels: Pixels, kind: str, form: str, place: int, damage: str) -> None:
    if pixels.dtype == np.uint16 and (kind not in ('png', 'tiff') or pixels.ndim == 3):
        pixels = (pixels >> 8).astype(np.uint8)  # PIL reads no other colours of 16 bits
    whole = packed(kind, pixels if kind != 'jpg' or pixels.ndim == 2 else pixels[:, :, :3])
    place %= len(whole)
    data = {'': whole, 'cut': whole[:place], 'pad': whole + bytes(place % 999),
            'flip': whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1:]}[damage]
    try:
        rgb = decompress(compressed(data, form))
    except CodecError as error:
        assert str(error).startswith(f"format '{form}': ") and len(str(error)) > 20
        return
    assert rgb.dtype == np.uint8 and rgb.shape[2] == 3
    if damage != 'flip' and 'bayer' not in form.lower() and 'tiff' not in form.lower():
        assert np.abs(rgb - reference(whole).astype(float)).max() <= (3 if kind == 'jpg' else 1)


def test_a_picture_that_is_declared_larger_than_opencv_reads_is_named_as_that() -> None:
    file = cv2.imencode('.png', np.zeros((9, 9), np.uint8))[1].tobytes()
    header = struct.pack('>4sII', b'IHDR', 10**6, 10**6) + file[24:29]
    huge = file[:12] + header + struct.pack('>I', zlib.crc32(header)) + file[33:]
    with pytest.raises(CodecError, match='declared larger than OpenCV reads'):
        decompress(compressed(huge, 'png'))
