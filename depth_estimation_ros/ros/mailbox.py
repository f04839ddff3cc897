# SPDX-License-Identifier: Apache-2.0
"""The newest frame of each camera, handed from reception to the worker."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Condition
from typing import Any


@dataclass(frozen=True)
class Frame:
    """A message as it was received."""

    camera: Any
    """Whose frame it is; hashable."""
    message: Any
    """The Image or CompressedImage."""
    stamp: float
    """Seconds of the capture, from the message's header; 0 where it has none."""
    received: float
    """Seconds on a steady clock (time.monotonic) when it arrived."""


class Mailboxes:
    """One place a camera for its newest frame; a newer frame pushes the older one out."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._frames: dict[Any, Frame] = {}
        self._closed = self._woken = False

    def put(self, frame: Frame) -> Frame | None:
        """Leave a frame and return the one that it pushed out."""
        with self._changed:
            displaced = self._frames.get(frame.camera)
            self._frames[frame.camera] = frame
            self._changed.notify()
        return displaced

    def take(self, limit: int, *, wait: bool = True) -> list[Frame] | None:
        """
        Wait for frames and take at most ``limit``, of the cameras that wait longest.

        A newer frame inherits the wait of the one that it pushed out, and stamps do not count:
        neither a fast camera nor one with a clock of its own can starve another.

        :param wait: whether to wait where there is none.
        :return: None once the mailboxes are closed; an empty list where there is none to wait for.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._frames or self._closed or self._woken or not wait)
            if self._closed:
                return None
            self._woken = self._woken and not wait
            longest = list(self._frames.values())[:limit]
            for frame in longest:
                del self._frames[frame.camera]
            return longest

    def wake(self) -> None:
        """End the taker's wait once, with or without a frame."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def close(self) -> list[Frame]:
        """End the taker's wait and return the frames that nobody took."""
        with self._changed:
            self._closed = True
            left = list(self._frames.values())
            self._frames.clear()
            self._changed.notify_all()
        return left
