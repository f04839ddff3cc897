# SPDX-License-Identifier: Apache-2.0
"""Another sensor's depth as the model's prompt: paired by stamp, of one view, in metres."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.frame import Frame
from depth_estimation_ros.ros import codec
from depth_estimation_ros.ros import prompts as module
from depth_estimation_ros.ros.frame_statistics import FrameStatistics
from depth_estimation_ros.ros.mailbox import Frame as Taken
from depth_estimation_ros.ros.prompts import KEPT, SILENT, PromptError, Prompts
from depth_estimation_ros.tools.seeded import ARCHITECTURES, write_checkpoint

from .conftest import image, metres, stamped
from .test_node import counts

SHAPE = (48, 64)
RAMP = np.linspace(0.5, 4.0, 24 * 32, dtype=np.float32).reshape(24, 32)
RAMP[:4, :8] = np.nan


def depth(pixels: np.ndarray, encoding: str = '32FC1', stamp: float | None = None) -> Image:
    message = stamped(codec.encode(pixels, encoding, Header()))
    if stamp is not None:
        message.header.stamp = Time(sec=int(stamp), nanosec=round(stamp % 1 * 1e9))
    return message


@pytest.fixture
def delivered() -> list[Taken]:
    """The images that were handed on."""
    return []


@pytest.fixture
def prompts(delivered: list[Taken]) -> Iterator[Prompts]:
    node = LifecycleNode('prompted', enable_communication_interface=False)
    made = Prompts(node, 'front/', delivered.append)
    made.open()
    yield made
    made.close()
    node.destroy_node()


def receive(prompts: Prompts, *messages: Any) -> None:
    for message in messages:
        prompts._receive(message)


@pytest.mark.parametrize(('stamp', 'value'), [
    (10.0, 1.0), (10.04, 1.0), (10.06, 2.0), (10.19, 3.0), (10.25, 3.0)])
def test_the_depth_taken_nearest_to_the_image_is_its_prompt(
        prompts: Prompts, stamp: float, value: float) -> None:
    receive(prompts, *(depth(np.full(SHAPE, each, np.float32), stamp=10.0 + tenths / 10)
                       for each, tenths in ((2.0, 1), (1.0, 0), (3.0, 2))))
    found = prompts.nearest(stamp, 0.1, SHAPE)
    assert found.dtype == np.float32 and (found == value).all()


def test_of_two_as_near_the_one_that_came_last_is_taken(prompts: Prompts) -> None:
    receive(prompts, *(depth(np.full(SHAPE, each, np.float32), stamp=10.0) for each in (1.0, 2.0)))
    assert prompts.nearest(10.0, 0.1, SHAPE)[0, 0] == 2.0


def test_a_prompt_too_far_apart_in_time_is_none(prompts: Prompts) -> None:
    receive(prompts, depth(RAMP, stamp=10.0))
    with pytest.raises(PromptError, match=r'/front/prompt/depth .* 0\.300 s apart.*prompt\.slop'):
        prompts.nearest(10.3, 0.1, SHAPE)


def test_only_the_newest_are_kept(prompts: Prompts) -> None:
    receive(prompts, *(depth(RAMP, stamp=float(second)) for second in range(KEPT + 1)))
    with pytest.raises(PromptError, match='apart'):
        prompts.nearest(0.0, 0.5, SHAPE)
    prompts.nearest(1.0, 0.5, SHAPE)


def test_millimetres_become_metres_and_their_zeros_stay_unknown(prompts: Prompts) -> None:
    receive(prompts, depth(np.array([[0, 1500], [65535, 1]], np.uint16), '16UC1', stamp=1.0))
    np.testing.assert_allclose(prompts.nearest(1.0, 0.1, (2, 2)), [[0, 1.5], [65.535, 0.001]])


@pytest.mark.parametrize(('message', 'reason'), [
    (depth(RAMP * 1000, stamp=1.0), 'looks like millimetres'),
    (depth(np.zeros((*SHAPE, 3), np.uint8), 'bgr8', stamp=1.0), "encoding 'bgr8'"),
    (depth(np.full(SHAPE, np.nan, np.float32), stamp=1.0), 'no known depth'),
    (depth(np.zeros(SHAPE, np.uint16), '16UC1', stamp=1.0), 'no known depth'),
    (depth(np.ones((48, 48), np.float32), stamp=1.0), 'one view'),
    (Image(height=48, width=64, encoding='32FC1', step=256), '0 bytes'),
], ids=['millimetres', 'colour', 'covered', 'covered too', 'another view', 'no data'])
def test_what_is_no_prompt_is_named(prompts: Prompts, message: Image, reason: str) -> None:
    receive(prompts, message)
    with pytest.raises(PromptError, match=reason):
        prompts.nearest(float(message.header.stamp.sec), 0.1, SHAPE)


def test_without_any_the_topic_is_named(prompts: Prompts) -> None:
    with pytest.raises(PromptError, match='no depth has come on /front/prompt/depth'):
        prompts.nearest(1.0, 0.1, SHAPE)
    assert any('remap prompt/depth' in fault for fault in prompts.faults())
    receive(prompts, depth(RAMP))
    assert not prompts.faults()
    prompts.close()
    with pytest.raises(PromptError, match='no depth has come'):
        prompts.nearest(1.0, 0.1, SHAPE)


class Camera:
    """What frames count on."""

    def __init__(self) -> None:
        self.statistics = FrameStatistics()


def taken(stamp: float) -> Taken:
    return Taken(Camera(), None, stamp, 0.0)


def test_an_image_waits_for_depth_taken_with_it_or_after(
        prompts: Prompts, delivered: list[Taken]) -> None:
    receive(prompts, depth(RAMP, stamp=10.0))
    early, late = taken(10.0), taken(10.03)
    prompts.hold(early)
    assert delivered == [early]
    prompts.hold(late)
    receive(prompts, depth(RAMP, stamp=10.02))
    assert delivered == [early]
    receive(prompts, depth(RAMP, stamp=10.03))
    assert delivered == [early, late]
    receive(prompts, depth(RAMP, stamp=10.06))
    assert delivered == [early, late]


def test_it_waits_no_longer_than_until_the_next_image(
        prompts: Prompts, delivered: list[Taken]) -> None:
    receive(prompts, depth(RAMP, stamp=10.0))
    first, second = taken(10.1), taken(10.2)
    prompts.hold(first)
    prompts.hold(second)
    assert delivered == [first]


def test_it_waits_for_a_moment_only(prompts: Prompts, delivered: list[Taken]) -> None:
    receive(prompts, depth(RAMP, stamp=10.0))
    prompts.hold(taken(10.1))
    executor = SingleThreadedExecutor()
    executor.add_node(prompts._node)
    began = time.monotonic()
    while not delivered:
        executor.spin_once(timeout_sec=0.01)
        assert time.monotonic() - began < 20.0
    executor.spin_once(timeout_sec=0.2)
    assert len(delivered) == 1
    executor.shutdown()


def test_it_does_not_wait_for_a_sensor_that_sends_nothing(
        prompts: Prompts, delivered: list[Taken], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = taken(10.0), taken(20.0)
    prompts.hold(first)
    receive(prompts, depth(RAMP, stamp=10.0))
    later = time.monotonic() + SILENT + 0.1
    monkeypatch.setattr(module, 'monotonic', lambda: later)
    prompts.hold(second)
    assert delivered == [first, second]
    assert any('for 2 s: is its sensor running' in fault for fault in prompts.faults())
    with pytest.raises(PromptError, match='is its sensor running'):
        prompts.nearest(20.0, 0.1, SHAPE)


def test_an_image_that_waits_when_it_ends_is_counted(
        prompts: Prompts, delivered: list[Taken]) -> None:
    receive(prompts, depth(RAMP, stamp=10.0))
    frame = taken(10.1)
    frame.camera.statistics.receive()
    prompts.hold(frame)
    prompts.close()
    summary = frame.camera.statistics.summary()
    assert not delivered and summary.dropped == {'deactivated': 1} and not summary.pending


@pytest.fixture(scope='module')
def promptable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(ARCHITECTURES['prompt_depth_anything'],
                            tmp_path_factory.mktemp('promptable'))


def test_the_node_serves_images_with_their_prompts(start, promptable, peer):
    node = start(model=promptable, device='cpu', near=0.0, far=1000.0, prompt__slop=0.5)
    node.wait_for('configured')
    depths = peer.listen('depth/image_rect', Image)
    peer.until(lambda: peer.send('image', stamped(image())) is not None
               and peer.spin_for(0.1) is None and counts(peer).get('dropped_unprompted', 0))
    node.wait_for('no depth has come on /prompt/depth')
    assert not depths

    sent = image()

    def arrived() -> bool:
        peer.send('prompt/depth', depth(RAMP))
        peer.spin_for(0.1)
        peer.send('image', stamped(sent))
        peer.spin_for(0.2)
        return bool(depths)

    peer.until(arrived)
    estimator = DepthEstimator(EstimatorOptions(str(promptable), device='cpu', backend='torch'))
    expected, = estimator.estimate([Frame(codec.decode(sent), prompt=RAMP)])
    np.testing.assert_allclose(metres(depths[-1]), expected, rtol=1e-4)
    status = peer.diagnostics()['camera']
    assert 'prompt' not in status.message
    assert node.end()[0] == 0 and 'set far' not in node.text()


def test_a_model_without_a_farthest_distance_asks_for_one(start, promptable):
    node = start(model=promptable, device='cpu')
    node.wait_for('set far to the metres from which on depth is +Inf')
