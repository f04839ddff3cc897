# SPDX-License-Identifier: Apache-2.0
"""Pairs of what a model says of a pixel and how far it is: from depth, points and distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .calibration import same_aspect
from .pinhole import Pinhole

Numbers = NDArray[np.float64]
Map = NDArray[np.floating]
Pixels = TypeVar('Pixels', bound=NDArray[Any])

MOST = 500
"""Pairs that are taken of an image; neighbours would say the same again."""

PATCH = 2
"""Pixels on either side of a measured one whose median is taken for it."""


class UnusableReferenceError(ValueError):
    """A reference that supports no calibration; the text says why."""


@dataclass(frozen=True)
class Pairs:
    """What a model and a reference say of the same pixels, one an entry."""

    values: Numbers
    """The model's, in its own unit."""
    metres: Numbers
    """The reference's, along the optical axis."""
    frames: NDArray[np.int64]
    """The number of the image."""
    places: NDArray[np.int64] | None = None
    """The number of the place, where every image shows the same few; None where all differ."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Pairs:
        return Pairs(self.values[chosen], self.metres[chosen], self.frames[chosen],
                     None if self.places is None else self.places[chosen])


@dataclass
class Collector:
    """Collects pairs image by image."""

    places: Sequence[int] | None = None
    """The number of the place of each pair, where they are the same in every image."""
    images: int = 0
    """How many were looked at."""
    _parts: list[Pairs] = field(default_factory=list)

    def add(self, values: Numbers, metres: Numbers) -> None:
        """Keep up to MOST of an image's pairs."""
        rng = np.random.default_rng(self.images)
        chosen = (rng.choice(len(values), MOST, replace=False) if len(values) > MOST else
                  np.arange(len(values)))
        self._parts.append(Pairs(values[chosen], metres[chosen],
                                 np.full(len(chosen), self.images),
                                 None if self.places is None else np.array(self.places)[chosen]))
        self.images += 1

    @property
    def pairs(self) -> Pairs:
        """All that were kept."""
        if not self._parts:
            return Pairs(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
        names = ('values', 'metres', 'frames') + (('places',) if self.places is not None else ())
        return Pairs(*(np.concatenate([getattr(part, name) for part in self._parts])
                       for name in names))


def pairs_of_map(values: Map, reference: Map) -> tuple[Numbers, Numbers]:
    """
    Pair a model's map with depth of the same view, pixel by pixel.

    :param values: the model's map, H×W.
    :param reference: metres, h×w, of the same aspect; 0, NaN and Inf are unknown.
    :return: the model's values and metres, one an entry, where the reference is known.
    :raises UnusableReferenceError: when the aspects differ.
    """
    (height, width), (rows, columns) = values.shape, reference.shape
    if not same_aspect((width, height), (columns, rows)):
        raise UnusableReferenceError(f'depth of {width}x{height} and a reference of '
                                     f'{columns}x{rows} are not of one view')
    v, u = np.nonzero(np.isfinite(reference) & (reference > 0))
    nearest = nearest_pixels(values, (rows, columns))[v, u]
    return nearest.astype(np.float64), reference[v, u].astype(np.float64)


def nearest_pixels(values: Pixels, shape: tuple[int, int]) -> Pixels:
    """
    Return a map at another size, of each cell's middle the pixel that it lies in.

    :param values: H×W, of any kind.
    :param shape: rows and columns.
    """
    rows, columns = ((np.arange(count) * 2 + 1) * side // (2 * count)
                     for count, side in zip(shape, values.shape, strict=True))
    return cast('Pixels', values[np.ix_(rows, columns)])


def pairs_of_points(values: Map, points: Numbers, lens: Pinhole) -> tuple[Numbers, Numbers]:
    """
    Pair a model's map with points in space; of those in one pixel the nearest hides the others.

    :param values: the model's map, H×W.
    :param points: metres in the optical frame, N×3 (REP 103: x right, y down, z forward).
    :param lens: of the map.
    :return: the model's values and metres along the optical axis, one an entry.
    """
    height, width = values.shape
    x, y, z = points[np.isfinite(points).all(1) & (points[:, 2] > 0)].T
    u, v = np.rint(lens.fx * x / z + lens.cx), np.rint(lens.fy * y / z + lens.cy)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixels = (v[inside] * width + u[inside]).astype(np.int64)
    farther = z[inside]
    order = np.lexsort((farther, pixels))
    seen, first = np.unique(pixels[order], return_index=True)
    return values.reshape(-1)[seen].astype(np.float64), farther[order][first]


def pairs_of_pixels(values: Map, measured: Sequence[tuple[float, float, float]],
                    ) -> tuple[Numbers, Numbers]:
    """
    Pair a model's map with distances measured at pixels.

    :param values: the model's map, H×W.
    :param measured: of each column, row and metres along the optical axis.
    :return: the medians of the patches around the pixels, and metres.
    :raises UnusableReferenceError: when a pixel lies outside the map.
    """
    height, width = values.shape
    found = []
    for u, v, _ in measured:
        column, row = round(u), round(v)
        if not (0 <= column < width and 0 <= row < height):
            raise UnusableReferenceError(f'the pixel {u:g}, {v:g} lies outside the {width}x'
                                         f'{height} of the depth')
        patch = values[max(row - PATCH, 0):row + PATCH + 1, max(column - PATCH, 0):
                       column + PATCH + 1]
        known = patch[np.isfinite(patch)]
        found.append(float(np.median(known)) if known.size else np.nan)
    return np.array(found), np.array([metres for _, _, metres in measured], np.float64)


def along_axis(u: float, v: float, distance: float, lens: Pinhole) -> float:
    """Return metres along the optical axis of a distance in a straight line from the lens."""
    return distance / float(np.hypot(1, np.hypot((u - lens.cx) / lens.fx,
                                                 (v - lens.cy) / lens.fy)))
