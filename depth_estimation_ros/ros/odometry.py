# SPDX-License-Identifier: Apache-2.0
"""Where a camera is at each image, as the robot's odometry tells by its transforms."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from ..core.rigid import Rigid
from .steadiness import TemporalSettings
from .transforms import Transforms, UnknownPoseError, is_installed


class Odometry:
    """One camera's way through a frame that does not move."""

    def __init__(self, transforms: Transforms, frame: str) -> None:
        """
        Know nothing yet.

        :param frame: that does not move.
        """
        self._transforms, self._frame = transforms, frame
        self.fault = ''
        """Why it is not known where the camera was at the last image; nothing where it is."""

    def at(self, header: Header) -> Rigid | None:
        """Return where the camera took an image; None where nobody knows."""
        try:
            pose = self._transforms.pose(header, self._frame)
        except UnknownPoseError as error:
            self.fault = str(error)
            return None
        self.fault = ''
        return pose


def odometry_for(settings: TemporalSettings, node: LifecycleNode,
                 transforms: Transforms | None) -> Odometry | None:
    """
    Return what tells how a camera moves; None where the settings name no frame.

    :param transforms: those that the node listens to already, if it does.
    :raises ValueError: when transforms cannot be had.
    """
    if not settings.odom_frame:
        return None
    if transforms is None and not is_installed():
        raise ValueError(
            f"temporal.odom_frame '{settings.odom_frame}' needs tf2_ros, which is not installed "
            '(sudo apt install ros-$ROS_DISTRO-tf2-ros-py); empty steadies depth without it')
    return Odometry(transforms or Transforms(node), settings.odom_frame)
