# SPDX-License-Identifier: Apache-2.0
"""The robot's transforms, by tf2_ros where that is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from geometry_msgs.msg import Quaternion as QuaternionMessage
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time
from std_msgs.msg import Header

from ..core.mount import Mount, UnknownMountError, level_in_optical, mount_from_transform
from ..core.rigid import Rigid

MAX_AGE = 0.5
"""Seconds by which a transform may be older than the image where there is none of its time."""

JUMP = 1.0
"""Seconds back from which on the transforms known are those of another time: a bag began anew."""


def is_installed() -> bool:
    """Whether there are transforms at all."""
    return find_spec('tf2_ros') is not None


class UnknownPoseError(ValueError):
    """Nobody can tell where a camera was; the text says why, and what to do."""


class Transforms:
    """Listens to the robot's transforms; may be asked from any thread."""

    def __init__(self, node: LifecycleNode) -> None:
        """Subscribe; needs tf2_ros."""
        import tf2_ros
        self._error: type[Exception] = tf2_ros.TransformException
        self._buffer: Any = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        self._broadcaster: Any = tf2_ros.TransformBroadcaster(node)
        self._latest: dict[str, int] = {}
        """Of each camera's frame the last image's time: their clocks need not agree."""
        self._sent: dict[str, tuple[int, int]] = {}
        """Of each level frame the stamp that it was published at last."""

    def mount(self, header: Header, floor_frame: str) -> Mount:
        """
        Return how a camera stands over a frame that lies on the floor.

        :param header: of the image, in the camera's optical frame.
        :raises UnknownMountError: when there is no such transform, or only one that is too old.
        """
        transform = self._lookup(header, floor_frame).transform
        rotation = transform.rotation
        return mount_from_transform(
            transform.translation.z, (rotation.x, rotation.y, rotation.z, rotation.w))

    def pose(self, header: Header, fixed_frame: str) -> Rigid:
        """
        Return where a camera was when it took an image, by the transform of just that time.

        :param header: of the image, in the camera's optical frame.
        :param fixed_frame: that does not move.
        :raises UnknownPoseError: when there is no such transform, or none of that time yet.
        """
        stamp = self._stamp(header)
        try:
            if not stamp.nanoseconds:
                raise UnknownPoseError('the images have no stamp, so nobody knows where the '
                                       'camera took them: set header.stamp in its driver')
            found = self._buffer.lookup_transform(fixed_frame, header.frame_id, stamp).transform
        except self._error as error:
            raise UnknownPoseError(
                f"there is no transform from '{header.frame_id}' to '{fixed_frame}' "
                f"(temporal.odom_frame) at the image's stamp: {error}: does odometry come before "
                'the depth is made, and by the same clock?') from error
        place, turn = found.translation, found.rotation
        try:
            return Rigid.from_quaternion((place.x, place.y, place.z),
                                         (turn.x, turn.y, turn.z, turn.w))
        except ValueError as error:
            raise UnknownPoseError(f"from '{header.frame_id}' to '{fixed_frame}' {error}"
                                   ) from error

    def send_level(self, header: Header, frame: str, mount: Mount) -> None:
        """Publish a camera's level frame, below its optical frame, once at an image's stamp."""
        stamp = header.stamp.sec, header.stamp.nanosec
        if any(stamp) and self._sent.get(frame) == stamp:  # tf2 warns of what it gets twice
            return
        self._sent[frame] = stamp
        x, y, z, w = level_in_optical(mount.pitch, mount.roll)
        self._broadcaster.sendTransform(TransformStamped(
            header=header, child_frame_id=frame,
            transform=Transform(rotation=QuaternionMessage(x=x, y=y, z=z, w=w))))

    def _lookup(self, header: Header, floor_frame: str) -> TransformStamped:
        stamp = self._stamp(header)
        try:
            return self._buffer.lookup_transform(floor_frame, header.frame_id, stamp)
        except self._error as error:
            return self._newest(header, floor_frame, stamp, str(error))

    def _stamp(self, header: Header) -> Time:
        """Return an image's time; long before its camera's last, forget the transforms."""
        # an image may have a stamp before 1970, which Time refuses; as 0 it asks for the newest
        stamp = Time(nanoseconds=max(header.stamp.sec * 10**9 + header.stamp.nanosec, 0))
        if stamp.nanoseconds:
            if stamp.nanoseconds < self._latest.get(header.frame_id, 0) - JUMP * 1e9:
                self._buffer.clear()
                self._latest.clear()  # so that the other cameras, now back as well, keep the new
            self._latest[header.frame_id] = stamp.nanoseconds
        return stamp

    def _newest(self, header: Header, floor_frame: str, stamp: Time,
                why: str) -> TransformStamped:
        """Return the newest transform; one of the image's time has often yet to arrive."""
        wanted = f"the transform from '{header.frame_id}' to '{floor_frame}' (scan.floor_frame)"
        try:
            newest = self._buffer.lookup_transform(floor_frame, header.frame_id, Time())
        except self._error as error:
            raise UnknownMountError(
                f'{wanted} is missing: {error}: is robot_state_publisher running, and the camera '
                'in its model?') from error
        age = (stamp.nanoseconds - Time.from_msg(newest.header.stamp).nanoseconds) / 1e9
        if not 0 <= age <= MAX_AGE:
            raise UnknownMountError(
                f'{wanted} is {abs(age):.1f} s {"older" if age > 0 else "newer"} than the image: '
                f'{why}: are both by the same clock, and is its publisher alive?')
        return newest
