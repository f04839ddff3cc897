# SPDX-License-Identifier: Apache-2.0
"""The outputs: each made where it is subscribed to and nowhere else, and what each holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from depth_estimation_ros.core.frame import Prediction
from depth_estimation_ros.ros.camera import Camera
from depth_estimation_ros.ros.mailbox import Frame
from depth_estimation_ros.ros.outputs import OUTPUTS, Estimate, Limits, Output, prepare
from depth_estimation_ros.ros.settings import Settings

from .conftest import Peer, camera_info, image

LIMITS = Limits(0.1, 20.0)
DEPTH = np.array([[0.5, 2.0, 8.0, 19.99], [np.nan, np.inf, -np.inf, 0.12]], np.float32)
FOUND = Prediction(DEPTH, np.linspace(0, 1, DEPTH.size, dtype=np.float32).reshape(DEPTH.shape))
PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
WITHOUT_DEPTH = {'depth/camera_info'}
"""What wakes no network."""
MOUNTED = {'scan.camera_height': 1.0}
"""What a scan cannot do without."""

NUMBERS = count()

TOPICS = [output.topic for output in OUTPUTS]


def prepared(topic: str, **settings: Any) -> Output:
    values = {name.replace('__', '.'): value for name, value in settings.items()}
    outputs = prepare(Settings().changed(values).outputs, LIMITS)
    return next(output for output in outputs if output.topic == topic)


def encoded(topic: str, **settings: Any) -> Any:
    """Return what an output makes of :data:`DEPTH`."""
    header = Header(frame_id='optical')
    return prepared(topic, **settings).encode(
        Estimate(header, DEPTH, camera_info(4, 8), DEPTH.shape, confidence=FOUND.confidence))


class Rig:
    """A camera in a process of its own making: real topics, and what is computed is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = LifecycleNode(f'rig_{next(NUMBERS)}', enable_communication_interface=False)
        self.delivered: list[Frame] = []
        self.camera = Camera(self.node, 'rig', transport='raw', deliver=self.delivered.append)
        self.node.trigger_configure()
        self.node.trigger_activate()
        self.outputs = prepare(Settings().changed(MOUNTED).outputs, LIMITS)
        self.computed: Counter[str] = Counter()
        for kind in OUTPUTS:
            monkeypatch.setattr(kind, 'encode', self.counting(kind))

    def counting(self, kind: type[Output]) -> Callable[[Output, Estimate], Any]:
        encode = kind.encode

        def counted(output: Output, estimate: Estimate) -> Any:
            self.computed[kind.topic] += 1
            return encode(output, estimate)

        return counted

    def receive(self, message: Any) -> None:
        self.camera._receive(message)

    def close(self) -> None:
        self.camera.close()
        self.node.destroy_node()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(monkeypatch)
    made.camera._input.info = camera_info()
    yield made
    made.close()


@pytest.mark.parametrize('topic', TOPICS)
def test_only_what_is_subscribed_to_is_computed(rig: Rig, peer: Peer, topic: str) -> None:
    kind, = (output for output in OUTPUTS if output.topic == topic)
    rig.camera.metric = kind.takes_metres
    sent = image(2, 4)
    rig.camera.publish(sent.header, FOUND, rig.outputs, PICTURE)
    rig.receive(sent)
    assert not rig.computed and not rig.delivered and not rig.camera.wanted()
    heard = peer.listen(f'/rig/{topic}', kind.message)
    peer.until(lambda: rig.camera._senders[kind].wanted)
    rig.receive(sent)
    assert bool(rig.delivered) == (topic not in WITHOUT_DEPTH)
    assert rig.camera.wanted() == {topic} - WITHOUT_DEPTH
    rig.camera.publish(sent.header, FOUND, rig.outputs, PICTURE)
    peer.until(lambda: len(heard) == sum(rig.computed.values()))
    assert set(rig.computed) == {topic} and heard[-1].header.stamp == sent.header.stamp


def test_what_needs_a_calibration_waits_for_one(rig: Rig, peer: Peer) -> None:
    heard = peer.listen('/rig/depth/camera_info', CameraInfo)
    peer.until(lambda: any(sender.wanted for sender in rig.camera._senders.values()))
    rig.camera._input.info = None

    def missing() -> bool:
        return any('no camera_info has come' in fault for fault in rig.camera.faults)

    assert not missing()  # no image has come either
    rig.camera.publish(Header(), FOUND, rig.outputs, PICTURE)
    rig.camera._input._receive_image(image(2, 4))
    assert missing()
    assert not rig.computed and not rig.delivered
    rig.camera._input.info = camera_info()
    rig.receive(image(2, 4))
    peer.until(lambda: bool(heard))


def test_a_calibration_with_the_images_stamp_is_that_images(rig: Rig, peer: Peer) -> None:
    heard = peer.listen('/rig/depth/camera_info', CameraInfo)
    peer.until(lambda: any(sender.wanted for sender in rig.camera._senders.values()))
    sent = [image(2, 4) for _ in range(3)]
    for number, message in enumerate(sent[:2]):  # as of a lens that zooms
        info = camera_info(2, 4)
        info.header, info.p[0] = message.header, 10.0 + number
        rig.camera._input._receive_info(info)
    focal = [10.0, 11.0, 11.0]
    assert [rig.camera.focal_length(message.header, 4, 2) for message in sent] == focal
    for message in sent:
        rig.camera.publish(message.header, FOUND, rig.outputs, PICTURE)
    peer.until(lambda: len(heard) == 3)
    assert [info.p[0] for info in heard] == focal
    assert [info.header for info in heard] == [message.header for message in sent]


def test_topics_are_distinct_and_below_depth() -> None:
    assert len(set(TOPICS)) == len(TOPICS)
    assert all(topic.startswith('depth/') for topic in TOPICS)


@pytest.mark.parametrize('topic', TOPICS)
def test_a_message_carries_the_images_header(topic: str) -> None:
    header = encoded(topic, scan__camera_height=1.0).header
    assert header.frame_id == ('optical_level' if topic == 'depth/scan' else 'optical')


def test_depth_in_millimetres_has_zeros_where_there_is_no_distance() -> None:
    message: Image = encoded('depth/image_rect', depth__encoding='16UC1')
    assert (message.encoding, message.step) == ('16UC1', 8)
    assert np.frombuffer(message.data, np.uint16).tolist() == [
        500, 2000, 8000, 19990, 0, 0, 0, 120]


def test_depth_is_as_it_is() -> None:
    message: Image = encoded('depth/image_rect')
    assert (message.encoding, message.height, message.width) == ('32FC1', 2, 4)
    np.testing.assert_array_equal(np.frombuffer(message.data, np.float32).reshape(2, 4), DEPTH)
