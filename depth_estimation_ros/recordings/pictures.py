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

TRIES = 300
"""Reads in a row without a frame after which a damaged video is taken to be at its end."""


def natural(path: Path) -> list[Any]:
    """Return the key that sorts frame_2 before frame_10."""
    return [(not part.isdecimal(), int(part) if part.isdecimal() else part)
            for part in re.split(r'(\d+)', str(path)) if part]


Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""BGR, H×W×3."""


class _Images(Recording):
    """Images that do not come from messages."""

    def __init__(self, name: str, count: int | None) -> None:
        super().__init__(name, {TOPIC: Channel(IMAGE, count)})
        self._types = Types()

    def _record(self, bgr: Pixels, time: int) -> Record:
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

    def _read_file(self, file: Path) -> Pixels | None:
        bgr, pages, reason = None, 1, ''
        try:
            bgr = read_bgr(file)
            pages = 1 if bgr is None else cv2.imcount(str(file))
        except cv2.error as error:  # a header that claims a size which no memory holds
            reason = f' ({error.err})'
        if bgr is None:
            self.warn(f'{file} is passed over: OpenCV cannot read it as a picture{reason}')
        if pages > 1:
            self.warn(f'{file} holds {pages} pictures, of which the first is taken: make a video '
                      'or a file for each of them')
        return bgr


def read_bgr(file: Path) -> Pixels | None:
    """
    Read a picture with the bits that it has.

    :return: H×W×3; uint16 of a picture of 16 bits, else uint8; None for no picture.
    :raises cv2.error: when its header claims a size that cannot be.
    """
    found = cv2.imread(str(file), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if found is not None and found.dtype == np.uint16:
        return np.asarray(found, np.uint16)
    if found is None or found.dtype != np.uint8:  # floats, of which OpenCV can make bytes
        found = cv2.imread(str(file), cv2.IMREAD_COLOR)
    return None if found is None else np.asarray(found, np.uint8)


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
            for number, bgr in enumerate(_frames(video) if topics else (), 1):
                yield self._record(bgr, self._time(video, number - 1))
            if topics and number < counted:
                self.warn(f'{self._path} says that it has {counted} frames, {number} can be read: '
                          f'{counted - number} are damaged, cut off or empty')
        finally:
            video.release()

    def _time(self, video: cv2.VideoCapture, number: int) -> int:
        """Return the frame's time in nanoseconds; a raw stream, such as .h264, has none."""
        position = round(video.get(cv2.CAP_PROP_POS_MSEC) * 10**6)
        if position > 0 or not number:
            return max(position, 0)
        rate = video.get(cv2.CAP_PROP_FPS)
        period = round(10**9 / rate) if rate > 0 else PERIOD
        self.warn(f'{self._path} has frames without times: they are taken to come '
                  f'{10**9 / period:.4g} times a second')
        return number * period

    def _has_count(self) -> bool:
        """Say whether the file counts its frames, as MP4 and AVI do; others are estimated."""
        with self._path.open('rb') as file:
            beginning = file.read(8)
        return beginning[:4] == b'RIFF' or beginning[4:] in (b'ftyp', b'moov', b'mdat')


def _frames(video: cv2.VideoCapture) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames, H×W×3; OpenCV ends at damage, and goes on behind it when asked again."""
    about, number, tries = video.get(cv2.CAP_PROP_FRAME_COUNT), 0, 0
    while True:
        found, bgr = video.read()
        if found:
            number, tries = number + 1, 0
            yield np.asarray(bgr, np.uint8)
        elif (tries := tries + 1) >= TRIES or number >= about:
            return


def image_message(bgr: Pixels, time: int, frame_id: str = FRAME_ID) -> bytes:
    """
    Return a sensor_msgs/Image in CDR.

    :param bgr: H×W×3, whose bits its encoding names.
    :param time: nanoseconds, its stamp.
    """
    store = standard_types()
    stamp = store.types['builtin_interfaces/msg/Time'](*divmod(time, 10**9))
    header = store.types['std_msgs/msg/Header'](stamp, frame_id)
    height, width, _ = bgr.shape
    data = np.ascontiguousarray(bgr, bgr.dtype.newbyteorder('<')).reshape(-1).view(np.uint8)
    message = store.types[IMAGE](header, height, width, f'bgr{8 * bgr.itemsize}', 0,
                                 3 * width * bgr.itemsize, data)
    return bytes(store.serialize_cdr(message, IMAGE))
