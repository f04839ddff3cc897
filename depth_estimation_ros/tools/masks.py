# SPDX-License-Identifier: Apache-2.0
"""Masks of objects: pictures and messages in which what is not 0 is part of an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..recordings import RecordingError
from ..recordings.depth import RAW, depth_of
from ..ros import codec
from ..ros.decoder import CameraDecoder

Mask = NDArray[np.bool_]
"""H×W."""


def mask_of(message: Any) -> Mask:
    """
    Return the mask in a message.

    :param message: Image of numbers (16UC1, 32FC1) or colours of any encoding, or CompressedImage.
    :raises RecordingError: when it holds no image.
    """
    try:
        if getattr(message, 'encoding', '') in RAW:
            return np.asarray(np.nan_to_num(depth_of(message)) > 0)
        return marked(CameraDecoder('', codec.decode)(message))
    except codec.CodecError as error:
        raise RecordingError(f'no mask: {error}') from error


def read_mask(path: Path) -> Mask:
    """Read a picture, or a .npy file; raises RecordingError when it is neither."""
    is_array = path.suffix == '.npy'
    pixels = np.load(path) if is_array else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim not in (2, 3):
        raise RecordingError(f'{path} cannot be read as a mask')
    return marked(pixels)


def marked(pixels: NDArray[Any]) -> Mask:
    """Return which pixels, H×W or H×W×channels, are not 0 in any channel."""
    return np.asarray(pixels > 0 if pixels.ndim == 2 else (pixels[:, :, :3] > 0).any(axis=2))
