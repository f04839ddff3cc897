# SPDX-License-Identifier: Apache-2.0
"""CompressedImage messages: the picture in the file, understood as the format string says.

image_transport_plugins write '<encoding>; <kind> compressed <stored>': the camera's encoding, the
kind of file, and the encoding that was put into the file, which is missing where it was the
camera's own. Drivers write 'jpeg', 'jpg', 'png', nothing, or a format of that form with another
end; which channel of a JPEG or PNG is red, the file itself knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from . import jpeg
from .codec import (
    ENCODINGS,
    NUMBERS,
    CodecError,
    Encoding,
    refused_by_opencv,
    to_rgb,
    unsupported_reason,
)

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage

JPEG = jpeg.START + b'\xff'
PNG = b'\x89PNG\r\n\x1a\n'

DEPTH_HEADER = 12
"""Bytes that compressed_depth_image_transport puts before its PNG."""

MAX_JUNK = 512
"""Bytes that may stand before a JPEG, such as a length or a part's header of MJPEG over HTTP."""

JPEG_NAMES = ('', 'jpeg', 'jpg', 'mjpeg', 'mjpg')
"""Kinds under which a JPEG is looked for behind other bytes."""

NOT_COLOUR = 'it is a depth image, not a picture: remap the input to the colour image'

VIDEO = ('h264', 'h265', 'hevc', 'av1', 'vp8', 'vp9', 'mpeg4', 'theora')
"""Kinds whose messages hold no picture by themselves."""


@dataclass(frozen=True)
class Format:
    """What a message's format string says, in lower case."""

    stored: str
    """The encoding that was put into the file; '' where the file itself must know."""
    kind: str
    """The kind of file; '' where it is not named."""
    as_it_was: bool
    """Whether the camera's own encoding was stored without a change."""


@dataclass(frozen=True)
class Picture:
    """A decoded file before its colours are changed."""

    pixels: NDArray[Any]
    """uint8 or uint16, H×W or H×W×channels."""
    name: str
    """The encoding of the pixels, one of :data:`ENCODINGS`."""

    @property
    def encoding(self) -> Encoding:
        """How the pixels become RGB."""
        return ENCODINGS[self.name]


def decompress(message: CompressedImage, bits: int = 16) -> NDArray[np.uint8]:
    """
    Decode a JPEG, PNG or other file that OpenCV reads.

    :param bits: how many of its bits a 16-bit picture uses, counted from the lowest.
    :return: uint8 RGB, H×W×3, in the file's own orientation.
    :raises CodecError: when the data are not such a file, damaged, too large a picture, or not
        what the format says.
    """
    picture = unpack(message)
    return to_rgb(picture.pixels, picture.encoding, bits)


def unpack(message: CompressedImage, *, padded: bool = False) -> Picture:
    """
    Decode the file in a message and find out what its pixels are.

    :param padded: as in :func:`jpeg.decode`.
    :raises CodecError: as :func:`decompress`.
    """
    try:
        form = parse(message.format)
        pixels, name = _decode(message.data.tobytes(), form.kind, padded)
        return _understand(pixels, name, form)
    except CodecError as error:
        raise type(error)(f"format '{message.format}': {error}") from error


def parse(text: str) -> Format:
    """Take a format string apart; raises CodecError for what is no picture with colours."""
    if 'compresseddepth' in text.lower():
        raise CodecError(NOT_COLOUR)
    source, _, rest = text.lower().partition(';')
    source, words = source.strip(), rest.replace(';', ' ').split()
    kind = (words or [source])[0].removeprefix('image/')
    if kind in VIDEO:
        raise CodecError('it is a frame of a video, not a picture: decode it before this node')
    names = [name for name in (*words[-1:], source)
             if name in ENCODINGS or NUMBERS.fullmatch(name)]
    for name in names:
        if name not in ENCODINGS:
            raise CodecError(f"encoding '{name}' {unsupported_reason(name)}")
    return Format(names[0] if names else '', kind, as_it_was=names == [source])


def _decode(data: bytes, kind: str, padded: bool) -> tuple[NDArray[Any], str]:
    """Return the file's pixels and the name of their layout."""
    if not data:
        raise CodecError('no data: the publisher could not compress the image')
    if data[DEPTH_HEADER:].startswith(PNG):
        raise CodecError(NOT_COLOUR)
    if not data.startswith(JPEG):
        pixels = _decode_by_opencv(data)
        if pixels is not None:
            return pixels, _layout(pixels)
        data = data[max(0, data.find(JPEG, 0, MAX_JUNK)) if kind in JPEG_NAMES else 0:]
        if not data.startswith(JPEG):
            raise CodecError(f'its {len(data)} bytes are not a picture that OpenCV can read, or '
                             'a damaged one')
    while data.startswith(2 * jpeg.START):
        data = data[len(jpeg.START):]
    pixels = jpeg.decode(data, padded=padded)
    return pixels, 'mono8' if pixels.ndim == 2 else 'rgb8'


def _decode_by_opencv(data: bytes) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise refused_by_opencv(error) from error


def _layout(pixels: NDArray[Any]) -> str:
    """Name the layout that OpenCV gives a picture."""
    names = {1: 'mono', 3: 'bgr', 4: 'bgra'}
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if pixels.dtype not in (np.uint8, np.uint16) or channels not in names:
        raise CodecError(f'its pixels are {channels} {pixels.dtype} numbers, which are no colours')
    return f'{names[channels]}{8 * pixels.itemsize}'


def _understand(pixels: NDArray[Any], name: str, form: Format) -> Picture:
    """
    Return the pixels under the encoding that the format says was stored.

    :param name: the layout that the file itself says.
    :raises CodecError: when the picture cannot be of that encoding.
    """
    if not form.stored:
        return Picture(pixels, name)
    stored = ENCODINGS[form.stored]
    grey = stored.channels == 1 and stored.height_factor == (1, 1)
    if grey and pixels.ndim == 3 and _same(pixels):  # an encoder that knows no grey files
        pixels = np.ascontiguousarray(pixels[:, :, 0])
    if grey != (pixels.ndim == 2) or np.dtype(stored.dtype).itemsize != pixels.itemsize:
        raise CodecError(f'a picture of {name} cannot be {form.stored}, as the format says')
    if grey:
        return Picture(pixels, form.stored)
    if form.as_it_was and form.kind == 'tiff' and form.stored.startswith('rgb'):
        name = name.replace('bgr', 'rgb')  # OpenCV took red for blue when it wrote the file
    return Picture(pixels, name)


def _same(pixels: NDArray[Any]) -> bool:
    """Whether red, green and blue are the same everywhere."""
    return bool((pixels[:, :, :1] == pixels[:, :, 1:3]).all())
