# SPDX-License-Identifier: Apache-2.0
"""How each camera stands, as transforms or its own depth tell; for those that were not told."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from time import monotonic

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from ..core.floor_mount import FloorMount
from ..core.live_floor import thinned
from ..core.mount import Mount, UnknownMountError, level_frame
from .outputs import Estimate
from .outputs.points import camera_of
from .outputs.scan import ScanSettings
from .transforms import Transforms, is_installed

PERIOD = 0.5
"""Seconds between the images of a camera that are searched for the floor."""


class MountSource(ABC):
    """
    How one camera stands, asked for each image that gives a scan.

    It also publishes the level frame that the scan is in, unless the robot does.
    """

    def __init__(self, transforms: Transforms | None, settings: ScanSettings) -> None:
        """Know nothing yet."""
        self._transforms, self._settings = transforms, settings
        self.fault = ''
        """Why it is not known how the camera stands; nothing where it is, or is about to be."""
        self._last: Mount | None = None

    def at(self, header: Header) -> Mount | None:
        """Return how the camera stood when it took an image; None where nobody knows."""
        try:
            mount = self._mount(header)
        except UnknownMountError as error:
            self.fault, self._last = str(error), None
            return None
        self.fault, self._last = '', mount
        if self._transforms is not None and not self._settings.frame:
            self._transforms.send_level(header, level_frame(header.frame_id), mount)
        return mount

    @property
    def facts(self) -> dict[str, str]:
        """What diagnostics show of the last scan's mount."""
        last = self._last
        return {} if last is None else {'mount': f'height {last.height:.3f} m, pitch '
                                        f'{last.pitch:.3f} rad, roll {last.roll:.3f} rad'}

    @abstractmethod
    def observe(self, estimate: Estimate) -> None:
        """Learn from a frame's depth, after it has been published."""

    @abstractmethod
    def _mount(self, header: Header) -> Mount:
        """Return the mount, or raise UnknownMountError."""


class TransformMountSource(MountSource):
    """As the robot's transforms say."""

    def observe(self, estimate: Estimate) -> None:
        """Learn nothing: transforms come by themselves."""

    def _mount(self, header: Header) -> Mount:
        assert self._transforms is not None
        return self._transforms.mount(header, self._settings.floor_frame)


class FloorMountSource(MountSource):
    """As the floor in the camera's own depth shows."""

    def __init__(self, transforms: Transforms | None, settings: ScanSettings) -> None:
        """Have seen no floor yet."""
        super().__init__(transforms, settings)
        self._floor = FloorMount()
        self._looked = -math.inf

    def observe(self, estimate: Estimate) -> None:
        """Search the depth for the floor, once in a while."""
        if monotonic() - self._looked < PERIOD:
            return
        camera = camera_of(estimate)
        if camera is not None:
            self._looked = monotonic()
            self._floor.look(*thinned(estimate.depth, camera))

    def _mount(self, header: Header) -> Mount:
        return self._floor.mount


def mount_source_of(settings: ScanSettings, transforms: Transforms | None) -> MountSource | None:
    """Return what tells how one camera stands; None where the parameters do."""
    kinds: dict[str, type[MountSource]] = {'tf': TransformMountSource, 'floor': FloorMountSource}
    kind = kinds.get(settings.mount)
    return None if kind is None else kind(transforms, settings)


def transforms_for(settings: ScanSettings, node: LifecycleNode) -> Transforms | None:
    """
    Return the transforms that the settings ask for; None where they ask for none.

    :raises ValueError: when they cannot be had.
    """
    if settings.mount == 'given' or (settings.mount == 'floor' and settings.frame):
        return None
    if not is_installed():
        raise ValueError(
            f'scan.mount {settings.mount} needs tf2_ros, which is not installed (sudo apt install '
            'ros-$ROS_DISTRO-tf2-ros-py)' + (
                '; or name the frame of the scan, which the robot then publishes: scan.frame'
                if settings.mount == 'floor' else ''))
    return Transforms(node)
