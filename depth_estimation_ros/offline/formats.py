# SPDX-License-Identifier: Apache-2.0
"""Depth as a file: the bytes of each kind."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from lzma import LZMAError
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from ..recordings import RecordingError
from .network import Depth


def encode_picture(suffix: str, pixels: NDArray[Any]) -> bytes:
    """
    Return a picture file.

    :param suffix: '.png' or another that OpenCV writes.
    :param pixels: uint16 H×W or uint8 BGR H×W×3.
    """
    _, data = cv2.imencode(suffix, pixels)
    return bytes(data.tobytes())


def quantised(depth: Depth, steps: int) -> NDArray[np.uint16]:
    """
    Return depth in whole steps; 0 where there is none.

    :param depth: float32 metres, H×W; what is not finite has no place in whole numbers.
    :param steps: in a metre: 1000 for millimetres, 256 for KITTI. What is beyond 65535 is 0 too,
        since a wall at the limit would be made up.
    """
    with np.errstate(invalid='ignore'):
        whole = np.rint(np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0) * steps)
    whole[(whole < 0) | (whole > np.iinfo(np.uint16).max)] = 0
    return whole.astype(np.uint16)


def _npy(depth: Depth) -> bytes:
    stream = io.BytesIO()
    np.save(stream, depth)
    return stream.getvalue()


def _npz(depth: Depth) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, depth=depth)
    return stream.getvalue()


def _pfm(depth: Depth) -> bytes:
    """Return a Portable Float Map: the rows from the bottom up, -1 for little endian."""
    height, width = depth.shape
    return f'Pf\n{width} {height}\n-1.0\n'.encode() + depth[::-1].astype('<f4').tobytes()


def _exr(depth: Depth) -> bytes:
    """Return OpenEXR: one float channel, Z, which is where renderers put depth."""
    import OpenEXR
    stream = io.BytesIO()
    header = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
    OpenEXR.File(header, {'Z': np.ascontiguousarray(depth, np.float32)}).write(stream)
    return stream.getvalue()


FORMATS: dict[str, tuple[str, Callable[[Depth], bytes]]] = {
    'png': ('.png', lambda depth: encode_picture('.png', quantised(depth, 1000))),
    'kitti': ('.png', lambda depth: encode_picture('.png', quantised(depth, 256))),
    'npy': ('.npy', _npy),
    'npz': ('.npz', _npz),
    'pfm': ('.pfm', _pfm),
    'exr': ('.exr', _exr),
}
"""By name, the suffix of the file and what makes its bytes."""


UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, MemoryError,
              SyntaxError, OverflowError, TokenError, BadZipFile, LZMAError, zlib.error,
              struct.error, cv2.error)
"""What NumPy, OpenCV and OpenEXR raise of damaged files."""


def decoded(kind: str, path: Path) -> Depth:
    """
    Read a file of depth back.

    :param kind: a name in :data:`FORMATS`.
    :return: metres; NaN where a picture holds 0.
    :raises RecordingError: when it is no such file.
    """
    depth = stored(kind, path)
    if depth.ndim != 2 or depth.dtype.kind not in 'fiu':
        raise RecordingError(f'{path} is no depth of one channel')
    return np.asarray(depth, np.float32)


def stored(kind: str, path: Path) -> NDArray[Any]:
    """
    Read the array that a file holds.

    :param kind: a name in :data:`FORMATS`; of png and kitti metres, of others what is stored.
    :return: of any type and shape.
    :raises RecordingError: when it is no such file.
    """
    try:
        found = READERS[kind](path)
    except UNREADABLE as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise RecordingError(f'{path} cannot be read as {kind}: {reason}') from error
    if not isinstance(found, np.ndarray):
        raise RecordingError(f'{path} cannot be read as {kind}: it holds no array')
    return found


def _picture(path: Path, steps: int) -> Any:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError('it is no PNG of 16 bits')
    return np.where(pixels == 0, np.float32(np.nan), pixels.astype(np.float32) / steps)


def _read_exr(path: Path) -> Any:
    require(['exr'])
    import OpenEXR
    channels = OpenEXR.File(str(path)).channels()
    if len(channels) == 1:  # whatever it is called
        return next(iter(channels.values())).pixels
    return channels['Z'].pixels


READERS: dict[str, Callable[[Path], Any]] = {
    'npy': np.load,
    'npz': lambda path: np.load(path)['depth'],
    'pfm': lambda path: cv2.imread(str(path), cv2.IMREAD_UNCHANGED),
    'exr': _read_exr,
    'png': lambda path: _picture(path, 1000),
    'kitti': lambda path: _picture(path, 256),
}
"""By name, what reads a file; what loses least comes first."""


def require(formats: Iterable[str]) -> None:
    """Raise RecordingError where a kind needs what is not installed."""
    if 'exr' in formats and find_spec('OpenEXR') is None:
        raise RecordingError('exr needs OpenEXR, which is not installed: pip install OpenEXR, or '
                             'take npy or pfm, which hold the same numbers')
