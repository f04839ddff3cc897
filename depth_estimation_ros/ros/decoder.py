# SPDX-License-Identifier: Apache-2.0
"""One camera's decoder: what it has learnt of a camera's images makes the next ones right."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import codec, compressed, jpeg
from .bits import BitsInUse

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage, Image

    from .converter import Decode

LOGGER = logging.getLogger(__name__)

HABIT = 30
"""Frames in a row with padded markers after which that is how the camera writes them."""


class CameraDecoder:
    """Turns the messages of one camera into RGB."""

    def __init__(self, camera: str, decode: Decode) -> None:
        """
        Start without knowledge.

        :param camera: its name for the log; '' for the only one.
        :param decode: how Image messages become RGB where nothing must be known of the camera.
        """
        self._camera, self._decode = camera or 'the camera', decode
        self._bits = BitsInUse(self._camera)
        self._assumed = False
        self._pads, self._padded_frames, self._sound_frames = False, 0, 0

    def __call__(self, message: Image | CompressedImage) -> NDArray[np.uint8]:
        """Return uint8 RGB, H×W×3; raises CodecError with the reason where that can't be done."""
        if hasattr(message, 'format'):
            return self._decompress(message)
        encoding = codec.encoding_of(message)
        if message.encoding.lower() in codec.ASSUMED:
            self._warn_of_assumption(message.encoding)
        if encoding.dtype == 'u2':
            pixels = codec.view(message, encoding)
            bits = self._bits.observe(pixels, message.encoding.lower())
            if bits < 16:
                return codec.to_rgb(pixels, encoding, bits)
        return self._decode(message)

    def learn(self, message: Image | CompressedImage) -> None:
        """
        Learn from a message without its pixels; for frames of a recording that are gone past.

        Only what may teach something is decoded: 16-bit pictures, and the first JPEGs, until they
        have shown for HABIT frames in a row that the camera does not pad them.
        """
        with suppress(codec.CodecError):
            if hasattr(message, 'format'):
                settled = self._pads or self._sound_frames >= HABIT
                if not (settled and bytes(message.data[:len(compressed.JPEG)]) == compressed.JPEG):
                    self._decompress(message)
            elif (encoding := codec.encoding_of(message)).dtype == 'u2':
                self._bits.observe(codec.view(message, encoding), message.encoding.lower())

    def _decompress(self, message: CompressedImage) -> NDArray[np.uint8]:
        if jpeg.SIMPLEJPEG is None:
            warn_of_missing_library()
        picture = self._unpack(message)
        bits = self._bits.observe(picture.pixels, picture.name)
        return codec.to_rgb(picture.pixels, picture.encoding, bits)

    def _unpack(self, message: CompressedImage) -> compressed.Picture:
        padded, self._padded_frames = self._padded_frames, 0
        try:
            picture = compressed.unpack(message, padded=self._pads)
        except jpeg.PaddedError:
            self._sound_frames, self._padded_frames = 0, padded + 1
            if self._padded_frames < HABIT:
                raise
        else:
            self._sound_frames += 1
            return picture
        self._pads = True
        LOGGER.warning('%s pads its JPEGs before their markers, as some webcams do: taken from '
                       'now on, but damage that begins there is not seen', self._camera)
        return compressed.unpack(message, padded=True)

    def _warn_of_assumption(self, name: str) -> None:
        if not self._assumed:
            self._assumed = True
            LOGGER.warning(
                "%s sends encoding '%s', which names no colours: taken as %s; have the publisher "
                'name it (encoding= in cv2_to_imgmsg)', self._camera, name,
                codec.ASSUMED[name.lower()])


@cache
def warn_of_missing_library() -> None:
    """Say once in this process that damaged JPEGs can't be told."""
    LOGGER.warning(jpeg.MISSING)
