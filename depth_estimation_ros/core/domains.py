# SPDX-License-Identifier: Apache-2.0
"""Which metric head serves each camera, where a model prefers one for each image."""

from __future__ import annotations

from dataclasses import dataclass

PATIENCE = 5
"""Images in a row that must prefer another head before it takes a camera over."""


@dataclass
class Held:
    """The head that serves a camera."""

    head: int
    against: int = 0
    """Images in a row that preferred another one."""
    changes: int = 0
    """How often another one took over."""


class DomainHold:
    """
    Keeps each camera with one head, until another is preferred for several images in a row.

    Two heads may disagree tenfold on one scene, and by a window or in a doorway the model's
    preference can flip from image to image; a map that is built of them can't.
    """

    def __init__(self) -> None:
        self._cameras: dict[str, Held] = {}

    def choose(self, camera: str, preferred: int) -> int:
        """Return the head that serves an image of a camera, from what the model prefers for it."""
        held = self._cameras.setdefault(camera, Held(preferred))
        held.against = held.against + 1 if preferred != held.head else 0
        if held.against >= PATIENCE:
            held.head, held.against, held.changes = preferred, 0, held.changes + 1
        return held.head

    def of(self, camera: str) -> Held | None:
        """Return what serves a camera; None before its first image."""
        return self._cameras.get(camera)
