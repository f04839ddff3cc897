"""Between ROS image messages and arrays: RGB out of any encoding, depth and colour into one.

The built-in conversion views the message's bytes with the strides that it declares, so padded rows
and either endianness cost nothing extra, and lets OpenCV change the colours.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from . import MAX_PIXELS

JPEG, SCAN, END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
"""JPEG's markers: start of the file, start of a scan, end of the file."""


class CodecError(ValueError):
    """A message that does not hold the image that it declares; the text says why."""


@dataclass(frozen=True)
class Encoding:
    """How an encoding of sensor_msgs/image_encodings.hpp lies in memory and becomes RGB."""

    dtype: str
    channels: int
    to_rgb: int | None
    """OpenCV's conversion code; None where the pixels are RGB already."""
    height_factor: tuple[int, int] = (1, 1)
    """Rows in memory over rows of the image, for planar formats."""
    even: tuple[bool, bool] = (False, False)
    """Whether the height, the width must be even."""


_COLOUR = {
    'rgb': (3, None), 'bgr': (3, cv2.COLOR_BGR2RGB),
    'rgba': (4, cv2.COLOR_RGBA2RGB), 'bgra': (4, cv2.COLOR_BGRA2RGB),
    'mono': (1, cv2.COLOR_GRAY2RGB),
}
_BAYER = {
    'bayer_rggb': cv2.COLOR_BayerBG2RGB, 'bayer_bggr': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg': cv2.COLOR_BayerGR2RGB, 'bayer_grbg': cv2.COLOR_BayerGB2RGB,
}

ENCODINGS: dict[str, Encoding] = {
    **{f'{name}{8 * size}': Encoding(f'u{size}', channels, code)
       for name, (channels, code) in _COLOUR.items() for size in (1, 2)},
    **{f'{name}{8 * size}': Encoding(f'u{size}', 1, code)
       for name, code in _BAYER.items() for size in (1, 2)},
    **{name: Encoding('u1', 2, code, even=(False, True)) for name, code in (
        ('yuv422', cv2.COLOR_YUV2RGB_UYVY), ('uyvy', cv2.COLOR_YUV2RGB_UYVY),
        ('yuv422_yuy2', cv2.COLOR_YUV2RGB_YUY2), ('yuyv', cv2.COLOR_YUV2RGB_YUY2))},
    **{name: Encoding('u1', 1, code, height_factor=(3, 2), even=(True, True)) for name, code in (
        ('nv12', cv2.COLOR_YUV2RGB_NV12), ('nv21', cv2.COLOR_YUV2RGB_NV21))},
}
"""Every encoding that has colours or brightness; depth and feature encodings have neither."""


def decode(message: Image) -> NDArray[np.uint8]:
    """
    Convert an image message to RGB.

    :param message: sensor_msgs/Image in any of :data:`ENCODINGS`.
    :return: uint8 RGB, H×W×3; a view of the message's bytes where they are RGB already.
    :raises CodecError: when the message does not hold the image that it declares.
    """
    encoding = encoding_of(message)
    pixels = view(message, encoding)
    if encoding.to_rgb is not None:
        pixels = cv2.cvtColor(pixels, encoding.to_rgb)
    if pixels.dtype != np.uint8:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    return np.asarray(pixels, np.uint8)


def encoding_of(message: Image) -> Encoding:
    """Look up a message's encoding; raises CodecError when it has no colours."""
    encoding = ENCODINGS.get(message.encoding.lower())
    if encoding is None:
        raise CodecError(f"encoding '{message.encoding}' is not one this node can show the "
                         f'network; it takes {", ".join(ENCODINGS)}')
    return encoding


def view(message: Image, encoding: Encoding) -> NDArray[Any]:
    """
    View a message's bytes as an array without copying them, in this machine's byte order.

    :return: H×W or H×W×channels of uint8 or uint16; planar formats have more rows.
    :raises CodecError: when size, step and data disagree.
    """
    height, width, step = message.height, message.width, message.step
    if not height or not width:
        raise CodecError(f'the image is {width}x{height} pixels: it has none')
    if height * width > MAX_PIXELS:
        raise CodecError(f'the image is declared as {width}x{height} pixels, more than the '
                         f'{MAX_PIXELS} that are taken')
    if (encoding.even[0] and height % 2) or (encoding.even[1] and width % 2):
        raise CodecError(f'{message.encoding} needs even sides, the image is {width}x{height}')
    dtype = np.dtype(('>' if message.is_bigendian else '<') + encoding.dtype)
    row = width * encoding.channels * dtype.itemsize
    if step < row:
        raise CodecError(f'step is {step} bytes, but a row of {width} {message.encoding} pixels '
                         f'takes {row}')
    rows = height * encoding.height_factor[0] // encoding.height_factor[1]
    needed = (rows - 1) * step + row
    if len(message.data) < needed:
        raise CodecError(f'data holds {len(message.data)} bytes, but {width}x{height} '
                         f'{message.encoding} with step {step} takes {rows * step}')
    shape = (rows, width) if encoding.channels == 1 else (rows, width, encoding.channels)
    strides = (step, encoding.channels * dtype.itemsize, dtype.itemsize)[:len(shape)]
    pixels: NDArray[Any] = np.ndarray(shape, dtype, buffer=message.data, strides=strides)
    sound = dtype.isnative and pixels.flags.aligned
    return pixels if sound else pixels.astype(dtype.newbyteorder('='))


def decompress(message: CompressedImage) -> NDArray[np.uint8]:
    """
    Decode a JPEG, PNG or other file format that OpenCV reads.

    :return: uint8 RGB, H×W×3, in the file's own orientation.
    :raises CodecError: when the data are not such a file, or too large a picture.
    """
    data = message.data.tobytes()
    if not data:
        raise CodecError(f"format '{message.format}': no data")
    if data.startswith(JPEG) and data.rfind(END) < data.rfind(SCAN):
        raise CodecError(f"format '{message.format}': the JPEG breaks off after {len(data)} bytes")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8),
                              cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise CodecError(f"format '{message.format}': {error.err or error}") from error
    if pixels is None:
        raise CodecError(f"format '{message.format}': its {len(data)} bytes are not a picture "
                         'that OpenCV can read')
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def encode(pixels: NDArray[Any], encoding: str, header: Any) -> Image:
    """
    Put an array into an image message.

    :param pixels: H×W float32 for 32FC1, H×W×3 uint8 for bgr8.
    :param encoding: a name from sensor_msgs/image_encodings.hpp that fits the array.
    :param header: the std_msgs/Header to carry.
    """
    whole = np.ascontiguousarray(pixels)
    message = Image(header=header, height=whole.shape[0], width=whole.shape[1],
                    encoding=encoding, step=whole.strides[0],
                    is_bigendian=sys.byteorder == 'big')
    message.data.frombytes(whole.data.cast('B'))
    return message
