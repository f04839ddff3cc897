# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos as recordings of one topic, image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import RecordingError
from .recording import Channel, Record, Recording
from .types import IMAGE, Types, standard_types

PICTURES = ('.bmp', '.exr', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')
TOPIC = '/image'
FRAME_ID = 'camera_optical_frame'
PERIOD = 10**9 // 30
"""Nanoseconds between two pictures, which have no times of their own."""


def natural(path: Path) -> list[Any]:
    """Return the key that sorts frame_2 before frame_10."""
    return [(not part.isdecimal(), int(part) if part.isdecimal() else part)
            for part in re.split(r'(\d+)', str(path)) if part]


class _Images(Recording):
    """Images that do not come from messages."""

    def __init__(self, name: str, count: int | None) -> None:
        super().__init__(name, {TOPIC: Channel(IMAGE, count)})
        self._types = Types()

    def _record(self, bgr: NDArray[np.uint8], time: int) -> Record:
        return Record(TOPIC, IMAGE, time, image_message(bgr, time), self._types)


class Pictures(_Images):
    """Files that OpenCV reads, in the order of their names with numbers as numbers."""

    def __init__(self, name: str, files: list[Path]) -> None:
        """
        Keep the names.

        :param name: what to call them, for warnings.
        """
        super().__init__(name, len(files))
        self.files = sorted(files, key=natural)

    @staticmethod
    def number(record: Record) -> int:
        """Return the place of a record's picture in ``files``."""
        return record.time // PERIOD

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        readable = 0
        for number, file in enumerate(self.files if topics else ()):
            bgr = self._read_file(file)
            if bgr is not None:
                readable += 1
                yield self._record(bgr, number * PERIOD)
        if topics and not readable:
            raise RecordingError(f'{self.name} holds no picture that OpenCV can read')

    def _read_file(self, file: Path) -> NDArray[np.uint8] | None:
        reason = ''
        try:
            bgr = cv2.imread(str(file), cv2.IMREAD_COLOR)
        except cv2.error as error:  # a header that claims a size which no memory holds
            bgr, reason = None, f' ({error.err})'
        if bgr is None:
            self.warn(f'{file} is passed over: OpenCV cannot read it as a picture{reason}')
        return None if bgr is None else np.asarray(bgr, np.uint8)


class Video(_Images):
    """A file that OpenCV's FFmpeg reads."""

    def __init__(self, path: Path) -> None:
        """
        Look into the file.

        :raises RecordingError: when it is not a video.
        """
        super().__init__(str(path), None)
        self._path = path
        if next(self._read(frozenset([TOPIC])), None) is None:
            raise RecordingError(f'{path} is not a video that OpenCV can read')

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        # an absolute path, as FFmpeg takes what stands before a colon for a protocol
        video = cv2.VideoCapture(str(self._path.absolute()), cv2.CAP_FFMPEG)
        counted = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if self._has_count() else 0
        number = 0
        try:
            found, bgr = video.read() if topics else (False, None)
            while found:
                time = max(round(video.get(cv2.CAP_PROP_POS_MSEC) * 10**6), 0)
                yield self._record(np.asarray(bgr, np.uint8), time)
                number += 1
                found, bgr = video.read()
            if topics and number < counted:
                self.warn(f'{self._path} says that it has {counted} frames, {number} can be read')
        finally:
            video.release()

    def _has_count(self) -> bool:
        """Say whether the file counts its frames, as MP4 and AVI do; others are estimated."""
        with self._path.open('rb') as file:
            beginning = file.read(8)
        return beginning[:4] == b'RIFF' or beginning[4:] in (b'ftyp', b'moov', b'mdat')


def image_message(bgr: NDArray[np.uint8], time: int, frame_id: str = FRAME_ID) -> bytes:
    """
    Return a sensor_msgs/Image in CDR.

    :param bgr: H×W×3.
    :param time: nanoseconds, its stamp.
    """
    store = standard_types()
    stamp = store.types['builtin_interfaces/msg/Time'](*divmod(time, 10**9))
    header = store.types['std_msgs/msg/Header'](stamp, frame_id)
    height, width, _ = bgr.shape
    message = store.types[IMAGE](header, height, width, 'bgr8', 0, 3 * width,
                                 np.ascontiguousarray(bgr).reshape(-1))
    return bytes(store.serialize_cdr(message, IMAGE))
