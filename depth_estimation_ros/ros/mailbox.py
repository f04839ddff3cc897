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
    """Seconds of the capture, from the message's header."""
    received: float
    """Seconds on the node's clock when it arrived."""


class Mailboxes:
    """One place a camera for its newest frame; a newer frame pushes the older one out."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._frames: dict[Any, Frame] = {}
        self._closed = False

    def put(self, frame: Frame) -> Frame | None:
        """Leave a frame and return the one that it pushed out."""
        with self._changed:
            displaced = self._frames.get(frame.camera)
            self._frames[frame.camera] = frame
            self._changed.notify()
        return displaced

    def take(self, limit: int, *, wait: bool = True) -> list[Frame]:
        """
        Wait for frames and take at most ``limit``, the oldest capture first.

        :param wait: whether to wait where there is none.
        :return: an empty list once the mailboxes are closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed or not wait)
            if self._closed:
                return []
            oldest = sorted(self._frames.values(), key=lambda frame: frame.stamp)[:limit]
            for frame in oldest:
                del self._frames[frame.camera]
            return oldest

    def close(self) -> list[Frame]:
        """Let the taker go and return the frames that nobody took."""
        with self._changed:
            self._closed = True
            left = list(self._frames.values())
            self._frames.clear()
            self._changed.notify_all()
        return left
