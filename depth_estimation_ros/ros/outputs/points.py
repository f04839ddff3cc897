# SPDX-License-Identifier: Apache-2.0
"""Depth as a point cloud, in the optical frame."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from ...core.pinhole import Pinhole
from ...core.points import Cloud, cloud_of
from ..camera_info import calibration_of_depth
from ..groups import Group, parameter
from .base import Estimate, Limits, Output

OFFSETS = {'x': 0, 'y': 4, 'z': 8, 'rgb': 16}
"""Where in a point's bytes a field begins."""


@dataclass(frozen=True)
class PointsSettings(Group):
    """Which points there are."""

    prefix = 'points'

    stride: int = parameter(
        1, 'Every so many rows and columns of the depth become points', low=1, high=64)
    voxel: float = parameter(
        0.0, 'Metres; one point in each cube of this size, and no rows; 0 keeps all',
        low=0.0, high=10.0)
    color: bool = parameter(
        False, "The image's colours as the field rgb; a point then takes 32 bytes, not 16")
    clearing: float = parameter(
        0.0, 'Metres at which a point stands for depth beyond far, for costmaps that clear by '
        'rays; 0 leaves it NaN', low=0.0, high=1000.0)


class PointsOutput(Output):
    """x, y and z of every pixel, and its colour, as depth_image_proc lays them out."""

    topic = 'depth/points'
    message = PointCloud2
    needs_info = True
    settings = PointsSettings

    def __init__(self, settings: PointsSettings, limits: Limits) -> None:
        """Start without memory for a cloud."""
        super().__init__(settings, limits)
        names = [*'xyz', *(['rgb'] if settings.color else [])]
        self._fields = [PointField(name=name, offset=OFFSETS[name], datatype=PointField.FLOAT32,
                                   count=1) for name in names]
        self._step = 32 if settings.color else 16
        self._memory = array('B')
        """The bytes of the last cloud with rows and columns, written anew for each."""

    def encode(self, estimate: Estimate) -> PointCloud2 | None:
        """
        Return the cloud under the image's header; None for a camera that is not calibrated.

        The next one may be written into the same memory: publish it before.
        """
        camera = camera_of(estimate)
        if camera is None:
            return None
        settings = self._settings
        cloud = cloud_of(
            estimate.depth, camera, estimate.image if settings.color else None,
            stride=settings.stride, voxel=settings.voxel, clearing=settings.clearing,
            out=None if settings.voxel else self._rows(estimate.depth.shape))
        message = PointCloud2(
            header=estimate.header, height=cloud.shape[0], width=cloud.shape[1],
            fields=self._fields, is_bigendian=False, point_step=self._step,
            row_step=self._step * cloud.shape[1], is_dense=bool(settings.voxel))
        message.data = self._memory if not settings.voxel else array('B', cloud.tobytes())
        return message

    def _rows(self, shape: tuple[int, ...]) -> Cloud:
        """Return the memory of a cloud with rows and columns as numbers."""
        rows, columns = (-(-side // self._settings.stride) for side in shape)
        size = rows * columns * self._step
        if len(self._memory) != size:
            self._memory = array('B', bytes(size))
        return np.frombuffer(self._memory, np.float32).reshape(rows, columns, self._step // 4)


def camera_of(estimate: Estimate) -> Pinhole | None:
    """Return the intrinsics of a depth image; None where its camera is not calibrated."""
    if estimate.info is None:
        return None
    height, width = estimate.depth.shape
    try:
        calibration = calibration_of_depth(estimate.info, estimate.source, (height, width))
        return Pinhole.from_matrix(calibration.p, 4)
    except ValueError:
        return None
