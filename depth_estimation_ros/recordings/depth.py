# SPDX-License-Identifier: Apache-2.0
"""Depth images of recordings, raw or compressed, as arrays.

Messages are any objects with the fields of sensor_msgs/Image or CompressedImage.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..core.compressed_depth import HEADER, InverseDepth
from .errors import RecordingError
from .rvl import decode_rvl

PNG = b'\x89PNG'

RAW = {'16UC1': 'u2', 'mono16': 'u2', '32FC1': 'f4'}


def depth_of(message: Any) -> NDArray[Any]:
    """
    Return a depth message's pixels in its own unit.

    :param message: Image of 16UC1 (or mono16) or 32FC1; CompressedImage of compressedDepth (PNG or
        RVL), or a PNG or TIFF.
    :return: uint16 millimetres with 0 for unknown, or float32 metres; H×W.
    :raises RecordingError: when the message holds no depth.
    """
    return _raw(message) if hasattr(message, 'encoding') else _compressed(message)


def metres(message: Any) -> NDArray[np.float32]:
    """
    Return a depth message as metres.

    :param message: as depth_of takes it.
    :return: float32, H×W; NaN where a pixel of millimetres is 0 (REP 118).
    """
    depth = depth_of(message)
    if depth.dtype != np.uint16:
        return depth
    return np.where(depth == 0, np.float32(np.nan), depth.astype(np.float32) / 1000)


def _raw(message: Any) -> NDArray[Any]:
    kind = RAW.get(message.encoding)
    if kind is None:
        raise RecordingError(f"an image of encoding '{message.encoding}' is no depth; "
                             f'{", ".join(RAW)} are')
    dtype = np.dtype(('>' if message.is_bigendian else '<') + kind)
    height, width, step = message.height, message.width, message.step
    needed = (height - 1) * step + width * dtype.itemsize
    if not height or not width or step < width * dtype.itemsize or len(message.data) < needed:
        raise RecordingError(f'a depth image of {width}x{height} {message.encoding} with step '
                             f'{step} does not fit its {len(message.data)} bytes')
    pixels: NDArray[Any] = np.ndarray((height, width), dtype, buffer=message.data,
                                      strides=(step, dtype.itemsize))
    return np.ascontiguousarray(pixels, dtype.newbyteorder('='))


def _compressed(message: Any) -> NDArray[Any]:
    encoding, _, transport = (part.strip() for part in str(message.format).partition(';'))
    data = message.data.tobytes()
    if transport.endswith('compressedDepth rvl'):
        inverse, code = _inverse(data, message.format), decode_rvl(data[HEADER.size:])
    elif data.startswith(PNG) or (transport and 'compressedDepth' not in transport):
        inverse, code = InverseDepth(0.0, 0.0), _picture(data, message.format)
    else:
        inverse = _inverse(data, message.format)
        code = _picture(data[HEADER.size:], message.format)
    if encoding != '32FC1' or code.dtype == np.float32:
        return code
    return _from_inverse(code, inverse, message.format)


def _inverse(data: bytes, name: str) -> InverseDepth:
    if len(data) <= HEADER.size:
        raise RecordingError(f"format '{name}': {len(data)} bytes hold no depth")
    return InverseDepth.unpack(data)


def _picture(data: bytes, name: str) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise RecordingError(f"format '{name}': {error.err}") from error
    if pixels is None or pixels.ndim != 2 or pixels.dtype not in (np.uint16, np.float32):
        raise RecordingError(f"format '{name}': {len(data)} bytes hold no picture of depth")
    return np.asarray(pixels)


def _from_inverse(code: NDArray[np.uint16], inverse: InverseDepth,
                  name: str) -> NDArray[np.float32]:
    """Return metres of quantised inverse depth, NaN where the code is 0."""
    if not np.isfinite([inverse.scale, inverse.offset]).all() or inverse.scale <= 0:
        raise RecordingError(f"format '{name}': its quantisation {inverse.scale:g}, "
                             f'{inverse.offset:g} is none')
    return inverse.decode(code)
