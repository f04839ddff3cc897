# SPDX-License-Identifier: Apache-2.0
"""Receive a node's outputs, write them to a rosbag2 directory, and keep what a report needs."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2

from ..core.mount import Mount
from ..recordings import Writer, metres, stamp_of
from . import transforms
from .received import Received

TAKEN = {'image': Image, 'camera_info': CameraInfo}
"""What the node takes, and a camera offers best effort."""

OUTPUTS = {
    'depth/image_rect': Image, 'depth/image_rect/compressedDepth': CompressedImage,
    'depth/camera_info': CameraInfo, 'depth/preview': Image, 'depth/points': PointCloud2,
    'depth/scan': LaserScan,
}
"""What the node makes of it."""

TRUTH = {'ground_truth/depth': Image}

RELIABLE = QoSProfile(depth=10)

WAITING = 32
"""How many messages wait at most to be written: a few frames of a camera whose depth is late."""


class Recorder(Node):
    """Subscribes to a camera and to a node's outputs, and writes each message as it came."""

    def __init__(self, folder: Path, *, mount: Mount | None = None,
                 without: Collection[str] = (), step: int = 4) -> None:
        """
        Open the bag and subscribe.

        :param folder: the rosbag2 directory to make; must not exist.
        :param mount: how the camera stands, for /tf_static; None where that is not known.
        :param without: outputs not to subscribe to.
        :param step: which pixels of the depth to compare: each ``step``-th.
        :raises RecordingError: when the bag cannot be made.
        """
        super().__init__('recorder')
        self.received = Received()
        self._mount, self._step = mount, step
        self._writer = Writer(folder)
        self._waiting: list[tuple[str, int, bytes]] = []
        for topic, kind in (TAKEN | OUTPUTS | TRUTH).items():
            if topic not in without:
                self.create_subscription(
                    kind, topic, self._record(topic, kind),
                    qos_profile_sensor_data if topic in TAKEN else RELIABLE, raw=True)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, RELIABLE)

    def close(self) -> None:
        """Finish the bag."""
        self._write()
        self._writer.close()

    def _record(self, topic: str, kind: Any) -> Callable[[bytes], None]:
        name, take = self.resolve_topic_name(topic), self._takers().get(topic)

        def record(data: bytes) -> None:
            now = self.get_clock().now().nanoseconds
            if name not in self._writer:
                self._writer.add_topic(name, f'sensor_msgs/msg/{kind.__name__}',
                                       qos=self._offered(name))
            self._waiting.append((name, now, data))
            self.received.count(topic, len(data))
            if take is not None:
                take(deserialize_message(data, kind), now)
            if topic in OUTPUTS or len(self._waiting) > WAITING:
                self._write()
        return record

    def _write(self) -> None:
        """Write what waits: compressed while the network runs, an image would cost it a core."""
        for name, time, data in self._waiting:
            self._writer.write(name, time, data)
        self._waiting.clear()

    def _takers(self) -> dict[str, Callable[[Any, int], None]]:
        """Return by topic what takes its messages for the report."""
        def keep(part: str) -> Callable[[Any, int], None]:
            return lambda message, _: self.received.add_part(part, stamp_of(message), message)

        return {'image': self._take_image, 'ground_truth/depth': self._take_truth,
                'depth/image_rect': self._take_depth, 'depth/camera_info': keep('info'),
                'depth/points': keep('points'), 'depth/scan': keep('scan')}

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

    def _take_image(self, message: Image, now: int) -> None:
        self.received.add_image(stamp_of(message), message)
        if self._mount is not None and transforms.TOPIC not in self._writer:
            self._writer.add_topic(transforms.TOPIC, transforms.TYPE, qos=[transforms.LATCHED])
            self._waiting.append((transforms.TOPIC, now, transforms.static_transforms(
                message.header.frame_id, self._mount, stamp_of(message))))

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
