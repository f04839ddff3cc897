# SPDX-License-Identifier: Apache-2.0
"""Another sensor's depth as the model's prompt: paired by stamp, of one view, in metres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.frame import Frame
from depth_estimation_ros.ros import codec
from depth_estimation_ros.ros.prompts import KEPT, PromptError, Prompts
from depth_estimation_ros.tools.seeded import ARCHITECTURES, write_checkpoint

from .conftest import image, metres, stamped
from .test_live_parameters import counts

SHAPE = (48, 64)
RAMP = np.linspace(0.5, 4.0, 24 * 32, dtype=np.float32).reshape(24, 32)
RAMP[:4, :8] = np.nan


def depth(pixels: np.ndarray, encoding: str = '32FC1', stamp: float | None = None) -> Image:
    message = stamped(codec.encode(pixels, encoding, Header()))
    if stamp is not None:
        message.header.stamp = Time(sec=int(stamp), nanosec=round(stamp % 1 * 1e9))
    return message


@pytest.fixture
def prompts() -> Iterator[Prompts]:
    node = LifecycleNode('prompted', enable_communication_interface=False)
    made = Prompts(node, 'front/')
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
    assert node.end()[0] == 0
