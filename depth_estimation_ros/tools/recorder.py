"""Receive a node's outputs, write them to a rosbag2 directory, and keep what a report needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image

RECORDED = {
    'depth/image_rect': Image, 'depth/camera_info': CameraInfo, 'depth/preview': Image,
    'ground_truth/depth': Image,
}

RELIABLE = QoSProfile(depth=10)


@dataclass
class Received:
    """What the recorder keeps of a run, by stamp in nanoseconds."""

    latency_ms: dict[int, float] = field(default_factory=dict)
    """From capture stamp to reception of each depth image."""
    depth: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Metres at every ``step``-th pixel of each depth image."""
    truth: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Metres, NaN where unknown, at the size the camera sent it."""
    image: dict[int, Image] = field(default_factory=dict)
    """The camera's image of the frames in ``keep``."""
    status: dict[str, dict[str, str]] = field(default_factory=dict)
    """The last diagnostics by status name."""

    def of(self, name: str) -> dict[str, str]:
        """Return the last diagnostics of the status that ends by ``name``, if any came."""
        return next((pairs for full, pairs in self.status.items() if full.endswith(name)), {})


class Recorder(Node):
    """Subscribes to a node's outputs and writes each message as it came."""

    def __init__(self, folder: Path, *, step: int = 4, keep_every: int = 5) -> None:
        """
        Open the bag and subscribe.

        :param folder: the rosbag2 directory to make; must not exist.
        :param step: which pixels of the depth to keep in memory: each ``step``-th.
        :param keep_every: which of the camera's images to keep in memory.
        """
        super().__init__('recorder')
        self.received = Received()
        self._step, self._keep_every, self._images = step, keep_every, 0
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._types = get_typestore(Stores.ROS2_JAZZY)
        for topic, kind in RECORDED.items():
            self.create_subscription(kind, topic, self._record(topic, kind), RELIABLE, raw=True)
        self.create_subscription(Image, 'image', self._see, qos_profile_sensor_data)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, RELIABLE)

    def close(self) -> None:
        """Finish the bag."""
        self._writer.close()

    def _record(self, topic: str, kind: Any) -> Callable[[bytes], None]:
        connection = self._writer.add_connection(
            self.resolve_topic_name(topic), f'sensor_msgs/msg/{kind.__name__}',
            typestore=self._types)
        take = {'depth/image_rect': self._take_depth, 'ground_truth/depth': self._take_truth}

        def record(data: bytes) -> None:
            now = self.get_clock().now().nanoseconds
            self._writer.write(connection, now, data)
            if topic in take:
                take[topic](deserialize_message(data, kind), now)
        return record

    def _take_depth(self, message: Image, now: int) -> None:
        stamp = nanoseconds(message)
        self.received.latency_ms[stamp] = (now - stamp) / 1e6
        self.received.depth[stamp] = metres(message)[::self._step, ::self._step].copy()

    def _take_truth(self, message: Image, now: int) -> None:
        self.received.truth[nanoseconds(message)] = metres(message)

    def _see(self, message: Image) -> None:
        if self._images % self._keep_every == 0:
            self.received.image[nanoseconds(message)] = message
        self._images += 1

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.received.status[status.name] = {pair.key: pair.value for pair in status.values}


def metres(message: Image) -> NDArray[np.float32]:
    """
    Return a depth message as metres.

    :param message: 32FC1 in metres, or 16UC1 in millimetres with 0 for unknown (REP 118).
    :return: float32, H×W; NaN where a 16UC1 pixel is 0.
    """
    if message.encoding == '32FC1':
        return _pixels(message, np.float32)
    millimetres = _pixels(message, np.uint16)
    depth = millimetres.astype(np.float32)
    depth /= 1000
    depth[millimetres == 0] = np.nan
    return depth


def _pixels(message: Image, kind: Any) -> NDArray[Any]:
    dtype = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    flat: NDArray[Any] = np.frombuffer(message.data, dtype)
    return flat.reshape(message.height, message.width)


def nanoseconds(message: Any) -> int:
    """Return the stamp of a message's header."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)
