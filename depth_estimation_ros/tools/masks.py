# SPDX-License-Identifier: Apache-2.0
"""Masks of objects: pictures and messages in which what is not 0 is part of an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recordings import RecordingError
from ..recordings.depth import RAW, depth_of
from ..ros import codec, compressed
from .depth_folders import read_pixels

Mask = NDArray[np.bool_]
"""H×W."""

ANY_BIT = 1
"""A mask's bits in use: what is not 0 at all is bright."""


def mask_of(message: Any) -> Mask:
    """
    Return the mask in a message.

    :param message: Image of numbers (16UC1, 32FC1) or colours of any encoding, or CompressedImage.
    :raises RecordingError: when it holds no image.
    """
    try:
        if getattr(message, 'encoding', '') in RAW:
            return np.asarray(np.nan_to_num(depth_of(message)) > 0)
        to_rgb = compressed.decompress if hasattr(message, 'format') else codec.decode
        return marked(to_rgb(message, ANY_BIT))
    except codec.CodecError as error:
        raise RecordingError(f'no mask: {error}') from error


def read_mask(path: Path) -> Mask:
    """Read a picture, or a .npy file; raises RecordingError when it is neither."""
    pixels = read_pixels(path)
    if pixels is None or pixels.ndim not in (2, 3) or pixels.dtype.kind not in 'buif':
        raise RecordingError(f'{path} cannot be read as a mask')
    return marked(pixels)


def marked(pixels: NDArray[Any]) -> Mask:
    """Return which pixels, H×W or H×W×channels, are not 0 in any channel."""
    return np.asarray(pixels > 0 if pixels.ndim == 2 else (pixels[:, :, :3] > 0).any(axis=2))
