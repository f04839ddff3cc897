"""Compressed messages: what another decoder sees, or one error that says why."""

from __future__ import annotations

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
from sensor_msgs.msg import CompressedImage

from depth_estimation_ros.ros.codec import CodecError
from depth_estimation_ros.ros.compressed import decompress

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
    with pytest.raises(CodecError, match='breaks off|Premature end'):
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
