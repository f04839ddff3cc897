# SPDX-License-Identifier: Apache-2.0
"""JPEG files: the pixels that they hold, or why some of them would be made up.

libjpeg decodes a damaged file to the end and only warns; OpenCV keeps the warnings to itself,
simplejpeg hands them on. Where it is not installed OpenCV serves, and a missing end or missing
scans are the only damage that is seen.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from . import MAX_PIXELS
from .codec import CodecError, refused_by_opencv

START, SCAN, END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
"""The markers at the start of the file, of a scan, at the end of the file."""

MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')
"""Any marker but those inside a scan."""

FRAMES = {0xc0, 0xc1, 0xc2, 0xc9, 0xca}
"""The second bytes of the markers that begin a frame of scans that are put together."""

ALONE = {0x01, 0xd8}
"""Those of markers without contents."""

WHOLE = bytes((0, 63, 0))
"""The end of a scan's header that is not progressive: all coefficients, all bits."""

MAX_WORK = 16 * MAX_PIXELS
"""Pixels times scans at most: more is no picture but hours of work in a few bytes."""

MAX_PADDING = 16
"""Bytes before a restart or the end marker that a webcam may have put there to no effect."""

PADDED = re.compile(r'(\d+) extraneous bytes before marker 0xd[0-79]')

JFIF, VERSION = slice(6, 11), 11
"""Where a file has its name of the format, and that format's version, 1 or 2."""


def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except Exception:  # not installed, or built for another NumPy: OpenCV serves instead
        return None
    return simplejpeg


SIMPLEJPEG = _simplejpeg()

MISSING = ('simplejpeg is not installed (pip install simplejpeg): a JPEG that is damaged in its '
           'middle is decoded as if it were sound')


class PaddedError(CodecError):
    """A JPEG whose first fault is a few bytes too many before a restart or the end marker."""


def decode(data: bytes, *, padded: bool = False) -> NDArray[np.uint8]:
    """
    Decode a JPEG, in its own orientation.

    :param padded: take a file whose first fault is a few bytes before such a marker.
    :return: uint8, H×W where the file is grey, else H×W×3 RGB.
    :raises CodecError: when the file is too large, or does not hold all its pixels.
    """
    _check_scans(data)
    if SIMPLEJPEG is None:
        return _decode_by_opencv(data)
    try:
        height, width, space, _ = SIMPLEJPEG.decode_jpeg_header(data, strict=False)
    except KeyError:  # a colour space that it has no name for
        return _decode_by_opencv(data)
    except ValueError as error:
        if 'subsampling' in str(error):  # a layout that only OpenCV takes, or no JPEG at all
            return _decode_by_opencv(data)
        raise CodecError(f'libjpeg: {error}') from error
    _check_size(height, width)
    if data[JFIF] == b'JFIF\0' and data[VERSION] not in (1, 2):  # it would hide other warnings
        data = data[:VERSION] + b'\1' + data[VERSION + 1:]
    space = 'GRAY' if space == 'Gray' else 'RGB'
    try:
        pixels = SIMPLEJPEG.decode_jpeg(data, space, strict=True)
    except ValueError as error:
        fault = PADDED.search(str(error))
        if fault is None or int(fault[1]) > MAX_PADDING:
            raise CodecError(f'the JPEG is damaged (libjpeg: {error})') from error
        if not padded:
            raise PaddedError(f'the JPEG is damaged (libjpeg: {error})') from error
        pixels = SIMPLEJPEG.decode_jpeg(data, space, strict=False)
    return np.asarray(pixels[:, :, 0] if space == 'GRAY' else pixels, np.uint8)


def _decode_by_opencv(data: bytes) -> NDArray[np.uint8]:
    if data.rfind(END) < data.rfind(SCAN):
        raise CodecError(f'the JPEG breaks off after {len(data)} bytes')
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise refused_by_opencv(error) from error
    if pixels is None:
        raise CodecError(f'its {len(data)} bytes are not a JPEG that OpenCV can read')
    return np.asarray(pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB),
                      np.uint8)


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise CodecError(f'the JPEG is declared as {width}x{height} pixels, more than the '
                         f'{MAX_PIXELS} that are taken')


def _check_scans(data: bytes) -> None:
    """
    Raise CodecError where scans are missing, which libjpeg does not mind, or far too many.

    A progressive file refines its coefficients scan by scan, down to their last bit.
    """
    try:
        frame, scans = _headers(data)
        if frame is None:
            return
        height, width = struct.unpack('>HH', frame[1:5])
        _check_size(height, width)
        if len(scans) * height * width > MAX_WORK:
            raise CodecError(f'the JPEG asks for {len(scans)} scans of {width}x{height} pixels')
        missing = {component: np.full(64, 16) for component in _components(frame)}
        for scan in scans:
            first, last, shift = scan[2 * scan[0] + 1:2 * scan[0] + 4]
            for component in scan[1:2 * scan[0] + 1:2]:
                missing[component][first:last + 1] = shift & 15
    except (IndexError, KeyError, struct.error, ValueError) as error:
        if isinstance(error, CodecError):
            raise
        raise CodecError('the headers of the JPEG are damaged') from error
    if any(bits.any() for bits in missing.values()):
        raise CodecError(f'the JPEG breaks off after {len(scans)} scans')


def _components(frame: bytes) -> bytes:
    return frame[6:6 + 3 * frame[5]:3]


def _headers(data: bytes) -> tuple[bytes | None, list[bytes]]:
    """Return the contents of the frame's header and of each scan's, up to the end marker."""
    frame, scans, place = None, [], len(START)
    while found := MARKER.search(data, place):
        kind, place = data[found.start() + 1], found.end()
        if kind == END[1]:
            break
        if kind in ALONE:
            continue
        begin, place = place + 2, place + int.from_bytes(data[place:place + 2], 'big')
        if kind in FRAMES:
            frame = data[begin:place]
        elif kind == SCAN[1]:
            scans.append(data[begin:place])
            if frame is not None and scans[0][0] == frame[5] and scans[0][-3:] == WHOLE:
                break  # what cameras send: one scan with everything
    return frame, scans
