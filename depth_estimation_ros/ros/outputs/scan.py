# SPDX-License-Identifier: Apache-2.0
"""Obstacles around the camera, as a laser would see them."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import lru_cache

from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

from ...core.mount import Mount, level_frame
from ...core.scan import Band, Scanner, ranges_of
from ..groups import Group, parameter
from ..stamps import seconds
from .base import Estimate, Limits, Output
from .points import camera_of

FARTHEST = 100.0
"""Metres of range_max where the model names no range."""

CAMERAS = 16
"""Those whose tables are kept, some 40 MB each at 1920x1080."""

LONGEST = 10.0
"""Seconds between two scans beyond which they do not follow each other."""

NEAREST_PART, FARTHEST_PART = 0.1, 2.0
"""What range_min and range_max are of the limits of depth: those are along Z, a range is in the
level plane, longer off the axis and shorter where the camera looks down."""


@dataclass(frozen=True)
class ScanSettings(Group):
    """How the camera stands, and what is an obstacle."""

    prefix = 'scan'

    mount: str = parameter(
        'given', 'How it is known how the camera stands. given: by camera_height, pitch and roll; '
        "tf: by the robot's transforms; floor: by the floor in the depth", live=False,
        choices=('given', 'tf', 'floor'))
    floor_frame: str = parameter(
        'base_footprint', 'With mount tf: the frame that lies level on the floor', live=False)
    camera_height: float = parameter(
        0.0, 'Metres of the camera above the floor; 0 with mount given leaves depth/scan silent',
        low=0.0, high=100.0)
    pitch: float = parameter(
        0.0, 'Radians of the optical axis above the horizontal; negative looks down',
        low=-1.5, high=1.5)
    roll: float = parameter(
        0.0, "Radians about the optical axis; positive turns the camera's right side down",
        low=-1.5, high=1.5)
    min_height: float = parameter(
        0.1, "Metres above the floor of the lowest obstacle: more than the depth's relative error "
        'times camera_height', low=0.0, high=100.0)
    max_height: float = parameter(
        2.0, 'Metres above the floor of the highest obstacle', low=0.0, high=100.0)
    slack: float = parameter(
        0.01, 'Metres that min_height rises with each metre of range, for an error of the tilt',
        low=0.0, high=1.0)
    frame: str = parameter(
        '', "The level frame of the scan, x forward, which the robot publishes; empty is the "
        "image's frame and _level, published by the node unless mount is given", live=False)

    def check(self) -> None:
        """Refuse a band without height."""
        if self.max_height <= self.min_height:
            raise ValueError(f'scan.max_height ({self.max_height} m) must lie above '
                             f'scan.min_height ({self.min_height} m)')


class ScanOutput(Output):
    """The nearest obstacle in each direction, the floor left out."""

    topic = 'depth/scan'
    message = LaserScan
    needs_info = True
    needs_mount = True
    settings = ScanSettings

    def __init__(self, settings: ScanSettings, limits: Limits) -> None:
        """Take the camera's height and tilt, where they are given."""
        super().__init__(settings, limits)
        self._given = None if settings.mount != 'given' else Mount(
            settings.camera_height, settings.pitch, settings.roll)
        self._band = Band(settings.min_height, settings.max_height, settings.slack)
        self._last: dict[str, float] = {}
        """The stamp of the last scan in each frame, in seconds."""
        self._scanner_of = lru_cache(CAMERAS)(lambda *camera: Scanner())
        """From a frame, a lens and a shape, since cameras may share one of them."""

    @property
    def silent_because(self) -> str:
        """Say what a scan lacks."""
        return '' if self._settings.camera_height or self._given is None else (
            'depth/scan is subscribed to, but scan.camera_height is 0: set it to the metres of '
            'the camera above the floor, or scan.mount to tf or floor')

    def encode(self, estimate: Estimate) -> LaserScan | None:
        """Return the scan in its level frame; None without calibration or mount."""
        camera, mount = camera_of(estimate), self._given or estimate.mount
        if camera is None or mount is None or self.silent_because:
            return None
        ranges, first, step = ranges_of(estimate.depth, camera, mount, self._band,
                                        self._scanner_of(estimate.header.frame_id, camera,
                                                         estimate.depth.shape))
        near, far = self._limits.near, self._limits.far
        most = far * FARTHEST_PART if math.isfinite(far) else FARTHEST
        ranges[ranges > most] = math.inf  # a subscriber drops what is beyond range_max
        return LaserScan(
            header=Header(stamp=estimate.header.stamp, frame_id=self._settings.frame or (
                level_frame(estimate.header.frame_id))),
            scan_time=self._since_last(estimate.header),
            angle_min=first, angle_max=first + step * (len(ranges) - 1), angle_increment=step,
            range_min=near * NEAREST_PART, range_max=most,
            ranges=array('f', ranges.tobytes()))

    def _since_last(self, header: Header) -> float:
        """Return the seconds since the camera's last scan; 0 where that is none or long ago."""
        now = seconds(header.stamp)
        since = now - self._last.get(header.frame_id, now)
        self._last[header.frame_id] = now
        return since if 0 < since < LONGEST else 0.0
