# SPDX-License-Identifier: Apache-2.0
"""Where a camera is at each image, as the robot's odometry tells by its transforms."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from ..core.rigid import Rigid
from .steadiness import TemporalSettings
from .transforms import Transforms, UnknownPoseError, is_installed

MISSING = ('needs tf2_ros, which is not installed (sudo apt install '
           'ros-$ROS_DISTRO-tf2-ros-py)')


class Odometry:
    """One camera's way through a frame that does not move."""

    def __init__(self, transforms: Transforms | None, frame: str) -> None:
        """
        Know nothing yet.

        :param transforms: None where they cannot be had, which is then the fault.
        :param frame: that does not move.
        """
        self._transforms, self._frame = transforms, frame
        self.fault = ''
        """Why it is not known where the camera was at the last image; nothing where it is."""

    def at(self, header: Header) -> Rigid | None:
        """Return where the camera took an image; None where nobody knows."""
        if self._transforms is None:
            self.fault = f"temporal.odom_frame '{self._frame}' {MISSING}"
            return None
        try:
            pose = self._transforms.pose(header, self._frame)
        except UnknownPoseError as error:
            self.fault = str(error)
            return None
        self.fault = ''
        return pose


def odometry_transforms(settings: TemporalSettings, node: LifecycleNode,
                        transforms: Transforms | None) -> Transforms | None:
    """
    Return the transforms that tell how all cameras move: those given, or new ones.

    Where the memory is 0 they are listened to as well, since it may change while the node runs,
    but need not be had.

    :param transforms: those that the node listens to already, if it does.
    :return: as given where the settings name no frame.
    :raises ValueError: when they are needed and cannot be had.
    """
    if transforms is not None or not settings.odom_frame:
        return transforms
    if is_installed():
        return Transforms(node)
    if settings.memory:
        raise ValueError(f"temporal.odom_frame '{settings.odom_frame}' {MISSING}; empty steadies "
                         'depth without it')
    return None


def odometry_for(settings: TemporalSettings, transforms: Transforms | None) -> Odometry | None:
    """Return what tells how one camera moves; None where the settings name no frame."""
    return Odometry(transforms, settings.odom_frame) if settings.odom_frame else None
