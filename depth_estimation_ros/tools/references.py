# SPDX-License-Identifier: Apache-2.0
"""What depth is calibrated by: another sensor's depth or points, a tape measure, a tag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from ..core.pinhole import Pinhole
from ..core.reference_fit import FARTHEST
from ..core.reference_pairs import (
    Numbers,
    UnusableReferenceError,
    along_axis,
    pairs_of_map,
    pairs_of_pixels,
    pairs_of_points,
)
from ..core.rigid import Rigid
from ..core.tag import TagFinder
from ..recordings import metres, points_of
from .views import Depth, View, lens_of

ENOUGH = 50
"""Pairs that are asked of a sensor, over all images together."""

ENOUGH_OF_TAGS = 25
"""Pairs that are asked of tags: those of one."""


class Reference(Protocol):
    """What tells distances of a view."""

    @property
    def least(self) -> int:
        """The pairs that are asked."""

    @property
    def read(self) -> Callable[[Any], NDArray[Any]] | None:
        """What makes a view's truth of a message of its topic; None where it has no topic."""

    @property
    def needs_image(self) -> bool:
        """Whether it is seen in the image itself."""

    def pairs(self, view: View, depth: Depth, lens: Pinhole) -> tuple[Numbers, Numbers] | None:
        """
        Return the model's values and metres along the optical axis; None without a reference.

        :param depth: the model's map.
        :param lens: of the map.
        """


class DepthReference:
    """A depth camera in the frame of the image."""

    least, read, needs_image = ENOUGH, staticmethod(metres), False

    def pairs(self, view: View, depth: Depth, lens: Pinhole) -> tuple[Numbers, Numbers] | None:
        """Pair pixel by pixel."""
        return None if view.truth is None else pairs_of_map(depth, view.truth)


@dataclass(frozen=True)
class PointsReference:
    """A laser scanner, a lidar or a sparse map, whose place at the camera is known."""

    place: Rigid
    """Of the sensor's frame in the optical frame."""
    least, read, needs_image = ENOUGH, staticmethod(points_of), False

    def pairs(self, view: View, depth: Depth, lens: Pinhole) -> tuple[Numbers, Numbers] | None:
        """Pair the pixels that points are seen in."""
        return None if view.truth is None else pairs_of_points(
            depth, self.place(view.truth), lens)


@dataclass(frozen=True)
class DistanceReference:
    """Distances that somebody measured at pixels, the same in every image."""

    measured: Sequence[tuple[float, float, float]]
    """Of each column, row and metres."""
    straight: bool = False
    """Whether they are in a straight line from the lens rather than along the optical axis."""
    least, read, needs_image = 1, None, False

    def __post_init__(self) -> None:
        for u, v, distance in self.measured:
            if distance > FARTHEST:
                raise UnusableReferenceError(f'{distance:g} m at {u:g}, {v:g} looks like '
                                             'millimetres')
            if not distance > 0:
                raise UnusableReferenceError(f'{distance:g} m at {u:g}, {v:g} is no distance')

    def pairs(self, view: View, depth: Depth, lens: Pinhole) -> tuple[Numbers, Numbers] | None:
        """Pair the measured pixels."""
        if not self.straight:
            return pairs_of_pixels(depth, self.measured)
        return pairs_of_pixels(depth, [(u, v, along_axis(u, v, distance, lens))
                                       for u, v, distance in self.measured])


@dataclass(frozen=True)
class TagReference:
    """AprilTags of known size in the image."""

    finder: TagFinder
    focal: float | None
    """fx in pixels of the map, where the recording does not tell it."""
    least, read, needs_image = ENOUGH_OF_TAGS, None, True

    def pairs(self, view: View, depth: Depth, lens: Pinhole) -> tuple[Numbers, Numbers] | None:
        """Pair the pixels on the tags."""
        assert view.image is not None
        shape = view.image.shape[:2]
        focal = self.focal and self.focal * shape[1] / depth.shape[1]
        own = lens_of(view, shape, focal)
        points = self.finder.points(view.image, own or lens)
        return pairs_of_points(depth, points, lens) if len(points) else None
