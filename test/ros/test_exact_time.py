# SPDX-License-Identifier: Apache-2.0
"""All that is published of a frame carries one stamp, by which exact-time filters match it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from rclpy.qos import QoSProfile

from depth_estimation_ros.ros.outputs import OUTPUTS

from .conftest import camera_info, image

FRAMES = 5


class ExactTime:
    """What message_filters.TimeSynchronizer does: messages of one stamp, one of each topic."""

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics
        self._waiting: dict[tuple[int, int], dict[str, Any]] = defaultdict(dict)
        self.matched: list[dict[str, Any]] = []

    def add(self, topic: str, message: Any) -> None:
        stamp = message.header.stamp.sec, message.header.stamp.nanosec
        self._waiting[stamp][topic] = message
        if len(self._waiting[stamp]) == len(self._topics):
            self.matched.append(self._waiting.pop(stamp))


def test_every_output_of_a_frame_is_matched_by_its_stamp(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', near=0.0, scan__camera_height=1.0,
                 flip_augmentation=True)
    node.wait_for('configured')
    kinds = [kind for kind in OUTPUTS if kind.takes_metres]
    exact = ExactTime([kind.topic for kind in kinds])
    for kind in kinds:
        peer.create_subscription(
            kind.message, kind.topic,
            lambda message, topic=kind.topic: exact.add(topic, message), QoSProfile(depth=10))
    sent: list[Any] = []

    def matched() -> bool:
        info, shown = camera_info(), image(seed=len(sent))
        info.header = shown.header
        peer.send('camera_info', info)
        peer.send('image', shown)
        sent.append(shown.header)
        peer.spin_for(0.2)
        return len(exact.matched) >= FRAMES

    peer.until(matched)
    for messages in exact.matched:
        headers = [messages[kind.topic].header for kind in kinds if kind.topic != 'depth/scan']
        assert headers[0] in sent and all(header == headers[0] for header in headers)
        assert messages['depth/scan'].header.frame_id == 'camera_optical_frame_level'
    assert node.end()[0] == 0
