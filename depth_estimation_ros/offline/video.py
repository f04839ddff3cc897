# SPDX-License-Identifier: Apache-2.0
"""A video of the images beside their depth in colours."""

from __future__ import annotations

import os
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from ..recordings import Recording, RecordingError

os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # what fails is said in one line, below

DEFAULT_RATE = 30.0
FIRST = 30
"""Images whose times tell the rate."""

MOST_TICKS = 65535
"""The largest numerator of a rate in MPEG-4."""

SLOWEST = 0.01
"""Frames a second, of which OpenCV still makes a fraction."""


def rate_of(recording: Recording, topic: str) -> float:
    """Return the frames a second of a recording's first images."""
    times = [record.time for record in islice(recording.records([topic]), FIRST)]
    steps = [after - before for before, after in pairwise(times) if after > before]
    return 10**9 / median(steps) if steps else DEFAULT_RATE


def playable(rate: float) -> float:
    """Return the nearest rate that MPEG-4 can have, as OpenCV writes it: over a power of ten."""
    rate = min(max(rate, SLOWEST), MOST_TICKS)
    digits = next(digits for digits in (3, 2, 1, 0) if round(rate * 10**digits) <= MOST_TICKS)
    return round(rate, digits)


class VideoWriter:
    """Writes an MP4 under another name and renames it when it is whole."""

    def __init__(self, path: Path, rate: float) -> None:
        """
        Wait for the first frame, whose size all others get.

        :param rate: frames a second.
        """
        self._path, self._rate, self._count = path, playable(rate), 0
        self._temporary = path.absolute().with_name(f'.{path.stem}.tmp{path.suffix}')
        self._size = (0, 0)
        self._video: cv2.VideoWriter | None = None
        self._log_level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

    def write(self, bgr: NDArray[np.uint8]) -> None:
        """Append a frame, H×W×3."""
        if self._video is None:
            self._size = bgr.shape[1] // 2 * 2, bgr.shape[0] // 2 * 2
            self._video = cv2.VideoWriter(str(self._temporary), cv2.CAP_FFMPEG,
                                          cv2.VideoWriter.fourcc(*'mp4v'), self._rate, self._size)
            if not self._video.isOpened():
                raise self._fault()
        if (bgr.shape[1], bgr.shape[0]) != self._size:
            bgr = np.asarray(cv2.resize(bgr, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        self._video.write(bgr)
        self._count += 1

    def close(self) -> None:
        """Finish the file; OpenCV says nothing of a full disk, so its frames are counted."""
        if self._video is None:
            return
        self._video.release()
        found = cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG)
        count = int(found.get(cv2.CAP_PROP_FRAME_COUNT)) if found.isOpened() else 0
        found.release()
        if count != self._count:
            raise self._fault()
        self._temporary.replace(self._path)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.close()
            elif self._video is not None:
                self._video.release()
        finally:
            cv2.utils.logging.setLogLevel(self._log_level)
            self._temporary.unlink(missing_ok=True)

    def _fault(self) -> RecordingError:
        return RecordingError(f'{self._path} cannot be written: the disk is full, or OpenCV has '
                              'no video encoder here')
