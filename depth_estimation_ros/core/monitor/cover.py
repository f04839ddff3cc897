# SPDX-License-Identifier: Apache-2.0
"""What covers a lens: a part of the picture that stays bare whatever the camera looks at."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

TILE = 20
"""Pixels on a side of a tile."""

BARE = 2.5
"""Levels of standard deviation about its own plane, at half size, below which a tile is bare."""

VIEWS = 20
"""Different views in all of which a tile must be bare to count as covered."""

DIFFERENT = 0.05
"""By how much the brightness of half the tiles with texture must have changed, as a share of the
image's, for a view to be another one."""

TOLD = 4
"""Tiles with texture by which it can be told."""

WHOLE = 0.95
"""The share of bare tiles from which on no other view is needed, but time: a robot turns away
from a wall that fills its view."""

WHOLE_SECONDS = 3.0


@dataclass(frozen=True)
class Tiles:
    """An image in tiles."""

    bare: NDArray[np.bool_]
    """Rows×columns, whether a tile has no texture."""
    luma: NDArray[np.float32]
    """Rows×columns, the tiles' brightness as a share of the image's."""


def tiles_of(grey: NDArray[np.uint8]) -> Tiles:
    """
    Say where an image has no texture.

    A shade that runs across a tile is none: what lies on a lens is out of focus, not even. An
    image narrower than a tile is not called bare.

    :param grey: uint8, H×W.
    """
    half = cv2.resize(grey, tuple(max(1, side // 2) for side in grey.shape[::-1]),
                      interpolation=cv2.INTER_AREA)
    side = min(TILE // 2, *half.shape)
    least = BARE if side == TILE // 2 else 0.0
    rows, columns = (length // side for length in half.shape)
    tiles = half[:rows * side, :columns * side].reshape(rows, side, columns, side)
    pixels = tiles.swapaxes(1, 2).reshape(rows * columns, side * side).astype(np.float32)
    plane = _planes(side)
    texture = np.sqrt(np.square(pixels - pixels @ plane @ plane.T).mean(1))
    luma = pixels.mean(1)
    return Tiles((texture < least).reshape(rows, columns),
                 (luma / max(float(luma.mean()), 1.0)).reshape(rows, columns))


@lru_cache
def _planes(side: int) -> NDArray[np.float32]:
    """Return an orthonormal basis of the planes over a tile, side²×3."""
    down, across = np.mgrid[:side, :side]
    planes = np.stack([np.ones(side * side), down.ravel(), across.ravel()], axis=1)
    return np.linalg.qr(planes)[0].astype(np.float32)


class Coverage:
    """
    How much of a camera's picture is bare in view after view.

    A bare wall moves through the picture as the robot turns, dirt stays. Where the robot stands
    nothing tells them apart, so the same view never counts twice. Only a picture that is bare as
    a whole needs no other one; it has to last. A smooth sky stays as dirt does: the limit has to
    lie above its share.
    """

    def __init__(self) -> None:
        self._views: deque[Tiles] = deque(maxlen=VIEWS)
        self._whole_since: float | None = None

    def observe(self, tiles: Tiles, now: float) -> float:
        """
        Return the share of the picture that is covered, as far as can be told: 0 to 1.

        :param now: seconds on a clock that does not jump.
        """
        if self._views and self._views[-1].bare.shape != tiles.bare.shape:
            self._views.clear()
        whole = float(tiles.bare.mean())
        if whole < WHOLE:
            self._whole_since = None
            self._add(tiles)
        elif self._whole_since is None:
            self._whole_since = now
        elif now - self._whole_since >= WHOLE_SECONDS:
            return whole
        return self._always_bare(tiles)

    def _add(self, tiles: Tiles) -> None:
        """Keep a view that is another one than the last."""
        if self._views:
            last = self._views[-1]
            textured = ~(tiles.bare & last.bare)
            changes = np.abs(tiles.luma - last.luma)[textured]
            if changes.size < TOLD or np.median(changes) <= DIFFERENT:
                return
        self._views.append(tiles)

    def _always_bare(self, tiles: Tiles) -> float:
        """Return what is bare in all views and now: a lens is wiped while the robot stands."""
        if len(self._views) < VIEWS:
            return 0.0
        return float(np.logical_and.reduce(
            [tiles.bare, *(view.bare for view in self._views)]).mean())
