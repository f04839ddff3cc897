# SPDX-License-Identifier: Apache-2.0
"""Receive a node's outputs, write them to a rosbag2 directory, and keep what a report needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.serialization import deserialize_message
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from sensor_msgs.msg import CameraInfo, Image

from ..recordings import Writer, metres, stamp_of
from .received import Received

RECORDED = {
    'depth/image_rect': Image, 'depth/camera_info': CameraInfo, 'depth/preview': Image,
    'ground_truth/depth': Image,
}

RELIABLE = QoSProfile(depth=10)


class Recorder(Node):
    """Subscribes to a node's outputs and writes each message as it came."""

    def __init__(self, folder: Path, *, step: int = 4) -> None:
        """
        Open the bag and subscribe.

        :param folder: the rosbag2 directory to make; must not exist.
        :param step: which pixels of the depth to compare: each ``step``-th.
        :raises RecordingError: when the bag cannot be made.
        """
        super().__init__('recorder')
        self.received = Received()
        self._step = step
        self._writer = Writer(folder)
        for topic, kind in RECORDED.items():
            self.create_subscription(kind, topic, self._record(topic, kind), RELIABLE, raw=True)
        self.create_subscription(Image, 'image', self._take_image, qos_profile_sensor_data)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, RELIABLE)

    def close(self) -> None:
        """Finish the bag."""
        self._writer.close()

    def _record(self, topic: str, kind: Any) -> Callable[[bytes], None]:
        name = self.resolve_topic_name(topic)
        take = {'depth/image_rect': self._take_depth, 'ground_truth/depth': self._take_truth}

        def record(data: bytes) -> None:
            now = self.get_clock().now().nanoseconds
            if name not in self._writer:
                self._writer.add_topic(name, f'sensor_msgs/msg/{kind.__name__}',
                                       qos=self._offered(name))
            self._writer.write(name, now, data)
            if topic in take:
                take[topic](deserialize_message(data, kind), now)
        return record

    def _offered(self, topic: str) -> list[Qos]:
        """Return what the publishers of a topic offer, which is what rosbag2 writes down."""
        return [offered_qos(found.qos_profile)
                for found in self.get_publishers_info_by_topic(topic)]

    def _take_depth(self, message: Image, now: int) -> None:
        stamp = stamp_of(message)
        depth = metres(message)[::self._step, ::self._step].copy()
        self.received.add_depth(stamp, depth, (now - stamp) / 1e6)

    def _take_truth(self, message: Image, now: int) -> None:
        self.received.add_truth(stamp_of(message), metres(message))

    def _take_image(self, message: Image) -> None:
        self.received.add_image(stamp_of(message), message)

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.received.status[status.name] = {pair.key: pair.value for pair in status.values}


def offered_qos(profile: QoSProfile) -> Qos:
    """Return a QoS profile of rclpy as rosbags writes it."""
    def named(kinds: Any, policy: Any) -> Any:
        return kinds.__members__.get(policy.name, kinds.UNKNOWN)

    def time(duration: Any) -> QosTime:
        return QosTime(*divmod(duration.nanoseconds, 10**9))

    return Qos(named(QosHistory, profile.history), profile.depth,
               named(QosReliability, profile.reliability),
               named(QosDurability, profile.durability), time(profile.deadline),
               time(profile.lifespan), named(QosLiveliness, profile.liveliness),
               time(profile.liveliness_lease_duration), profile.avoid_ros_namespace_conventions)
