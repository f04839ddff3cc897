# SPDX-License-Identifier: Apache-2.0
"""
An AprilTag of known size tells how far it is.

OpenCV finds the corners (E. Olson, "AprilTag: A robust and flexible visual fiducial system", ICRA
2011) and the pose of the square (T. Collins, A. Bartoli, "Infinitesimal Plane-Based Pose
Estimation", IJCV 2014).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import DepthError
from .pinhole import Pinhole
from .reference_pairs import Numbers

FAMILIES: Mapping[str, str] = {name: f'DICT_APRILTAG_{name}'
                               for name in ('16h5', '25h9', '36h10', '36h11')}
"""The families, and OpenCV's names for them."""

LEAST_SIDE = 20.0
"""Pixels that a tag's sides must have: half a pixel then is 2.5 % of the distance."""

INNER = 0.4
"""How far from the middle, as a share of the side, points on the tag are taken: within it."""

GRID = 5
"""Points along a side of the grid that is taken of a tag."""

CORNER_OFFSET = 0.5
"""OpenCV's AprilTag refinement counts from a pixel's corner, a pinhole from its centre."""


@dataclass(frozen=True)
class Tag:
    """A printed tag."""

    size: float
    """Metres along a side of its black square."""
    number: int | None = None
    """Its id; None takes every tag of the family, all of this size."""
    family: str = '36h11'


class TagFinder:
    """Finds one kind of tag in images."""

    def __init__(self, tag: Tag) -> None:
        """
        Prepare the detector.

        :raises DepthError: where OpenCV is too old to have one.
        """
        aruco: Any = getattr(cv2, 'aruco', None)
        if not hasattr(aruco, 'ArucoDetector'):
            raise DepthError(f'OpenCV {cv2.__version__} has no ArucoDetector: '
                             "pip install 'opencv-python-headless>=4.7'")
        self._tag = tag
        parameters = aruco.DetectorParameters()
        parameters.cornerRefinementMethod = aruco.CORNER_REFINE_APRILTAG
        self._detector: Any = aruco.ArucoDetector(aruco.getPredefinedDictionary(
            getattr(aruco, FAMILIES[tag.family])), parameters)

    def points(self, image: NDArray[np.uint8], lens: Pinhole) -> Numbers:
        """
        Return points on the tags of an image.

        :param image: RGB, H×W×3.
        :param lens: of the image.
        :return: metres in the optical frame, N×3; none where no tag is seen.
        """
        found = [self._grid(corners, lens) for corners in self._corners(image)]
        return np.concatenate(found) if found else np.zeros((0, 3))

    def _corners(self, image: NDArray[np.uint8]) -> Iterator[Numbers]:
        """Yield the corners of each wanted tag, 4×2 pixels."""
        corners, numbers, _ = self._detector.detectMarkers(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        for each, number in zip(corners, () if numbers is None else numbers.ravel(), strict=True):
            square = each.reshape(4, 2).astype(np.float64) - CORNER_OFFSET
            sides = np.linalg.norm(square - np.roll(square, 1, axis=0), axis=1)
            if self._tag.number in (None, int(number)) and sides.min() >= LEAST_SIDE:
                yield square

    def _grid(self, corners: Numbers, lens: Pinhole) -> Numbers:
        """Return points on a tag, of which a network sees the face and not the edge."""
        half = self._tag.size / 2
        square = np.array([[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]])
        matrix = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
        _, turn, place = cv2.solvePnP(square, corners, matrix, None,
                                      flags=cv2.SOLVEPNP_IPPE_SQUARE)
        steps = np.linspace(-INNER, INNER, GRID) * self._tag.size
        x, y = np.meshgrid(steps, steps)
        on_tag = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
        return np.asarray(on_tag @ cv2.Rodrigues(turn)[0].T + place.ravel())
