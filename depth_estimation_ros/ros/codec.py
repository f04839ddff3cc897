# SPDX-License-Identifier: Apache-2.0
"""Between ROS image messages and arrays: RGB out of any encoding, depth and colour into one.

The built-in conversion views the message's bytes with the strides that it declares, so padded rows
and either endianness cost nothing extra, and lets OpenCV change the colours.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from . import MAX_PIXELS

if TYPE_CHECKING:
    from sensor_msgs.msg import Image  # decoding takes any object with its fields


class CodecError(ValueError):
    """A message that does not hold the image that it declares; the text says why."""


def refused_by_opencv(error: cv2.error) -> CodecError:
    """Return what OpenCV's decoder means; of a limit it says the condition that does not hold."""
    said = error.err or str(error)
    limit = 'the picture is declared larger than OpenCV reads: ' if 'CV_IO_MAX' in said else ''
    return CodecError(f'{limit}{said}')


@dataclass(frozen=True)
class Encoding:
    """How an encoding of sensor_msgs/image_encodings.hpp lies in memory and becomes RGB."""

    dtype: str
    channels: int
    to_rgb: int | Callable[[NDArray[Any]], NDArray[Any]] | None
    """OpenCV's conversion code or a function; None where the pixels are RGB already."""
    height_factor: tuple[int, int] = (1, 1)
    """Rows in memory over rows of the image, for planar formats."""
    even: tuple[bool, bool] = (False, False)
    """Whether the height, the width must be even."""


def _rgb_from_nv24(planes: NDArray[np.uint8]) -> NDArray[Any]:
    """Convert Y and, below it, two rows of U, V pairs for each row; OpenCV has no code for it."""
    height = len(planes) // 3
    chroma = planes[height:].reshape(height, -1, 2)
    doubled = np.empty((height, chroma.shape[1], 4), np.uint8)  # as UYVY of twice the width
    doubled[:, :, 1] = doubled[:, :, 3] = planes[:height]
    doubled[:, :, 0], doubled[:, :, 2] = chroma[:, :, 0], chroma[:, :, 1]
    rgb = cv2.cvtColor(doubled.reshape(height, -1, 2), cv2.COLOR_YUV2RGB_UYVY)
    return np.ascontiguousarray(rgb[:, ::2])


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
    'nv24': Encoding('u1', 1, _rgb_from_nv24, height_factor=(3, 1)),
    '8uc1': Encoding('u1', 1, cv2.COLOR_GRAY2RGB),
    '8uc3': Encoding('u1', 3, cv2.COLOR_BGR2RGB),
    '8uc4': Encoding('u1', 4, cv2.COLOR_BGRA2RGB),
}
"""Every encoding that has colours or brightness, in lower case."""

ASSUMED = {'8uc1': 'mono8', '8uc3': 'bgr8', '8uc4': 'bgra8'}
"""What cv_bridge calls an OpenCV array by default, which names no colours, and how it is taken."""

NUMBERS = re.compile(r'(8|16|32|64)[usf]c\d*')
"""OpenCV's names for arrays of any meaning."""

DEPTH = ('16uc1', '32fc1', '64fc1')
"""The encodings of depth cameras."""


def decode(message: Image, bits: int = 16) -> NDArray[np.uint8]:
    """
    Convert an image message to RGB.

    :param message: sensor_msgs/Image in any of :data:`ENCODINGS`.
    :param bits: how many of its bits a 16-bit encoding uses, counted from the lowest.
    :return: uint8 RGB, H×W×3; a view of the message's bytes where they are RGB already.
    :raises CodecError: when the message does not hold the image that it declares.
    """
    encoding = encoding_of(message)
    return to_rgb(view(message, encoding), encoding, bits)


def to_rgb(pixels: NDArray[Any], encoding: Encoding, bits: int = 16) -> NDArray[np.uint8]:
    """
    Convert an array to RGB.

    :param pixels: as :func:`view` returns them.
    :param bits: how many of its bits a 16-bit encoding uses, counted from the lowest.
    """
    if callable(encoding.to_rgb):
        pixels = encoding.to_rgb(pixels)
    elif encoding.to_rgb is not None:
        pixels = cv2.cvtColor(pixels, encoding.to_rgb)
    if pixels.dtype != np.uint8:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / (2**bits - 1))
    return np.asarray(pixels, np.uint8)


def encoding_of(message: Image) -> Encoding:
    """Look up a message's encoding; raises CodecError when it has no colours."""
    encoding = ENCODINGS.get(message.encoding.lower())
    if encoding is None:
        raise CodecError(f"encoding '{message.encoding}' {unsupported_reason(message.encoding)}")
    return encoding


def unsupported_reason(name: str) -> str:
    """Say why an encoding that is not in :data:`ENCODINGS` is not taken, and what to do."""
    name = name.lower()
    if name in DEPTH:
        return 'is what depth cameras send: remap the input to the colour image, not to depth'
    if name == '8uc2':
        return ('names no colours: have the publisher say which layout it is, yuv422_yuy2 (yuyv) '
                'or yuv422 (uyvy)')
    if NUMBERS.fullmatch(name):
        return ("names no colours: have the publisher name them, such as encoding='bgr8' in "
                'cv_bridge (bgr16 for 16 bits)')
    return f'is not one this node can show the network; it takes {", ".join(ENCODINGS)}'


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
    if message.encoding.lower() == 'nv24':
        pixels = _whole_rows(pixels, message)
    sound = dtype.isnative and pixels.flags.aligned
    return pixels if sound else pixels.astype(dtype.newbyteorder('='))


def _whole_rows(pixels: NDArray[Any], message: Image) -> NDArray[Any]:
    """Lay padded NV24 tight: a row of its U, V pairs takes two steps, with all padding last."""
    height, width, step = message.height, message.width, message.step
    if step == width:
        return pixels
    chroma = np.ndarray((height, 2 * width), np.uint8, buffer=message.data,
                        offset=height * step, strides=(2 * step, 1))
    return np.vstack([pixels[:height], chroma.reshape(2 * height, width)])


def encode(pixels: NDArray[Any], encoding: str, header: Any) -> Image:
    """
    Put an array into an image message.

    :param pixels: H×W float32 for 32FC1, H×W uint16 for 16UC1, H×W×3 uint8 for bgr8.
    :param encoding: a name from sensor_msgs/image_encodings.hpp that fits the array.
    :param header: the std_msgs/Header to carry.
    """
    from sensor_msgs.msg import Image
    whole = np.ascontiguousarray(pixels)
    message = Image(header=header, height=whole.shape[0], width=whole.shape[1],
                    encoding=encoding, step=whole.strides[0],
                    is_bigendian=sys.byteorder == 'big')
    message.data.frombytes(whole.data.cast('B'))
    return message
