# SPDX-License-Identifier: Apache-2.0
"""Where one frame lies in another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .mount import Quaternion

Numbers = NDArray[np.float64]

UNIT_TOLERANCE = 0.01
"""By how much a quaternion's length may differ from 1 by rounding."""


def rotation_matrix(rotation: Quaternion) -> Numbers:
    """Return a rotation as a 3×3 matrix."""
    x, y, z, w = rotation
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


@dataclass(frozen=True)
class Rigid:
    """The place and the rotation of a child frame in its parent, as geometry_msgs/Transform."""

    rotation: Numbers
    """3×3; its columns are the child's axes in the parent."""
    translation: Numbers
    """Metres, the child's origin in the parent."""

    @classmethod
    def from_quaternion(cls, translation: tuple[float, float, float],
                        rotation: Quaternion) -> Rigid:
        """
        Take a transform's numbers.

        :raises ValueError: when the quaternion's length is not 1, or a number is not finite.
        """
        length = math.hypot(*rotation)
        if not (abs(length - 1) <= UNIT_TOLERANCE and all(map(math.isfinite, translation))):
            raise ValueError(f'a translation of {translation} and a quaternion of {rotation} are '
                             'no transform: the quaternion is x y z w, of length 1')
        x, y, z, w = (part / length for part in rotation)
        return cls(rotation_matrix((x, y, z, w)), np.array(translation, np.float64))

    def __call__(self, points: Numbers) -> Numbers:
        """Return points of the child, N×3, in the parent."""
        return np.asarray(points @ self.rotation.T + self.translation)

    def __matmul__(self, child: Rigid) -> Rigid:
        """Return where a child's child lies in the parent."""
        return Rigid(self.rotation @ child.rotation, self(child.translation))

    def inverse(self) -> Rigid:
        """Return where the parent lies in the child."""
        return Rigid(self.rotation.T, -self.rotation.T @ self.translation)


IDENTITY = Rigid(np.eye(3), np.zeros(3))
