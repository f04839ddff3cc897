# SPDX-License-Identifier: Apache-2.0
"""Depth that is steadied on its way: by a running node, and by the robot's odometry."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from torch import Tensor

from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.rigid import IDENTITY, Rigid
from depth_estimation_ros.ros import cameras, odometry
from depth_estimation_ros.ros.mailbox import Frame
from depth_estimation_ros.ros.odometry import Odometry, odometry_for, odometry_transforms
from depth_estimation_ros.ros.settings import Settings
from depth_estimation_ros.ros.steadiness import Steadiness, TemporalSettings

from .conftest import RunningNode, camera_info, image, metres, stamped
from .test_lifecycle import change
from .test_live_parameters import put
from .test_mount_source import Buffer, Robot
from .test_outputs import Rig

SIZE = (96, 128)
ON = TemporalSettings(memory=16)
LEVELS = np.random.default_rng(1).integers(40, 210, (12, 16, 3)).repeat(8, 0).repeat(8, 1)


def picture(seed: int, noise: float = 6.0) -> Image:
    """The same view each time, with a sensor's noise."""
    found = image(*SIZE)
    pixels = LEVELS + np.random.default_rng(seed).normal(0, noise, LEVELS.shape)
    found.data = np.clip(pixels, 0, 255).astype(np.uint8).tobytes()
    return found


def flicker(peer: Any) -> float:
    """Send a dozen frames of one view; return how log depth varies over the last."""
    depth = [metres(peer.depth_of(picture(seed))) for seed in range(12)]
    return float(np.log(np.stack(depth[4:])).std(0).mean())


@pytest.fixture(scope='module')
def node(start: Any) -> RunningNode:
    running: RunningNode = start(model='demo', device='cpu', near=0.0)
    running.wait_for('configured')
    return running


def steadied(peer: Any) -> str | None:
    return {each.key: each.value for each in peer.diagnostics()['camera'].values}.get('steadied')


@pytest.mark.usefixtures('node')
def test_a_camera_that_stands_is_steadier_and_a_clock_that_jumps_begins_anew(peer: Any) -> None:
    plain, before = flicker(peer), picture(99)
    unfiltered = metres(peer.depth_of(before))
    assert steadied(peer) is None
    assert not put(peer, temporal__memory=16)
    assert flicker(peer) < 0.6 * plain
    share = steadied(peer)
    assert share is not None and int(share.rstrip('%')) > 50
    later = metres(peer.depth_of(picture(99)))
    assert np.abs(later / unfiltered - 1).max() > 1e-4
    before.header.stamp.sec -= 50
    np.testing.assert_array_equal(metres(peer.depth_of(before)), unfiltered)
    assert not put(peer, temporal__memory=0)
    np.testing.assert_array_equal(metres(peer.depth_of(stamped(before))), unfiltered)


@pytest.mark.usefixtures('node')
def test_what_is_off_since_the_node_rested_is_not_told(peer: Any) -> None:
    assert not put(peer, temporal__memory=16)
    for seed in range(3):
        peer.depth_of(picture(seed))
    assert steadied(peer) is not None
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert not put(peer, temporal__memory=0)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.depth_of(picture(3))
    assert steadied(peer) is None


def test_a_camera_that_rests_forgets_what_was_wrong_with_its_motion(
        monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    rig.camera._odometry = Odometry(None, 'odom')
    rig.camera.pose(header(100.0))
    assert not rig.camera.faults, 'nothing is steadied'
    rig.camera.steadied = 0.0
    assert ['camera_info' in fault for fault in rig.camera.faults] == [True, False]
    rig.camera._input.info = camera_info()
    fault, = rig.camera.faults
    assert fault.startswith('depth is steadied only while the camera stands: ')
    rig.camera.unsubscribe()
    assert not rig.camera.faults and 'steadied' not in rig.camera.facts
    rig.camera.steadied, rig.camera._input.info = 0.0, camera_info()
    assert not rig.camera.faults
    rig.close()


class Camera:
    """Knows its lens, and where it is if it is told."""

    steadied: float | None = None
    where: Rigid | None = None

    def lens(self, header: Header, width: int, height: int) -> Pinhole:
        return Pinhole(100.0, 100.0, width / 2, height / 2)

    def pose(self, header: Header) -> Rigid | None:
        return self.where


def served(steadiness: Steadiness, camera: Camera, depth: Tensor, second: float,
           settings: TemporalSettings = ON, **source: Any) -> Tensor:
    message = stamped(picture(0, 0.0))
    frame = Frame(camera, message, second, 1000.0 + second)
    found, share = steadiness(depth, frame, LEVELS.astype(np.uint8), settings,
                              source=source.get('source'))
    camera.steadied = None if share is None else float(share)
    return found


NEAR, FAR = torch.full(SIZE, 2.0), torch.full(SIZE, 2.04)


def test_off_costs_nothing_and_knows_nothing() -> None:
    steadiness, camera = Steadiness(), Camera()
    assert served(steadiness, camera, NEAR, 1.0, TemporalSettings()) is NEAR
    served(steadiness, camera, NEAR, 1.0)
    assert camera.steadied == 0.0
    assert served(steadiness, camera, FAR, 1.1, TemporalSettings()) is FAR
    assert camera.steadied is None
    assert (served(steadiness, camera, FAR, 1.2) == FAR).all()


def test_each_camera_has_its_own() -> None:
    steadiness, camera, other = Steadiness(), Camera(), Camera()
    served(steadiness, camera, NEAR, 1.0)
    assert (served(steadiness, other, FAR, 1.1) == FAR).all()
    assert (served(steadiness, camera, FAR, 1.1) < 2.03).all()


def test_another_source_begins_anew() -> None:
    steadiness, camera = Steadiness(), Camera()
    served(steadiness, camera, NEAR, 1.0)
    found = served(steadiness, camera, FAR, 1.1, source='another model')
    assert (found == FAR).all()


def test_without_stamps_arrival_counts() -> None:
    steadiness, camera = Steadiness(), Camera()
    frames = [Frame(camera, stamped(picture(0, 0.0)), 0.0, second) for second in (5.0, 5.1)]
    for frame, depth in zip(frames, (NEAR, FAR), strict=True):
        found, _ = steadiness(depth, frame, LEVELS.astype(np.uint8), ON, source=None)
    assert (found < 2.03).all()


def test_odometry_reaches_the_filter() -> None:
    """A camera that goes 0.04 m ahead sees a wall at 2.04 m at 2 m, and nothing has changed."""
    steadiness, camera = Steadiness(), Camera()
    camera.where = IDENTITY
    for index in range(8):
        served(steadiness, camera, FAR, 1.0 + index / 10)
    camera.where = Rigid(np.eye(3), np.array([0, 0, 0.04]))
    found = served(steadiness, camera, 1.01 * NEAR, 1.8)
    assert found.median().item() == pytest.approx(2.0 * 1.01 ** (1 / 9), rel=1e-3)


class MovingBuffer(Buffer):
    """The camera goes along x, one metre a second."""

    def lookup_transform(self, target: str, source: str, time: Time) -> TransformStamped:
        found = super().lookup_transform('floor' if target == 'odom' else target, source, time)
        found.transform.translation.x = time.nanoseconds / 1e9
        return found


@pytest.fixture
def robot(monkeypatch: pytest.MonkeyPatch) -> Robot:
    made = Robot(monkeypatch)
    made.buffer = MovingBuffer()
    monkeypatch.setattr(odometry, 'is_installed', lambda: True)
    return made


def header(second: float) -> Header:
    stamp = Time(seconds=second).to_msg() if second else TimeMessage()
    return Header(stamp=stamp, frame_id='optical')


@pytest.fixture
def known(robot: Robot) -> Odometry:
    settings = TemporalSettings(memory=16, odom_frame='odom')
    found = odometry_for(settings, odometry_transforms(settings, None, None))
    assert found is not None
    return found


def test_a_pose_is_that_of_the_images_stamp(robot: Robot, known: Odometry) -> None:
    robot.buffer.seconds = [90.0, 110.0]
    for second in (100.0, 103.5):
        where = known.at(header(second))
        assert where is not None and not known.fault
        assert where.translation[[0, 2]] == pytest.approx([second, 0.4])


@pytest.mark.parametrize(('second', 'said'), [
    (110.1, 'would require extrapolation'), (80.0, 'same clock'), (0.0, 'no stamp')])
def test_no_other_time_will_do(robot: Robot, known: Odometry, second: float, said: str) -> None:
    robot.buffer.seconds = [90.0, 110.0]
    assert known.at(header(second)) is None and said in known.fault
    assert known.at(header(100.0)) is not None and not known.fault


def test_transforms_are_listened_to_once_and_only_where_asked(
        known: Odometry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert odometry_transforms(ON, None, None) is None and odometry_for(ON, None) is None
    settings = TemporalSettings(memory=16, odom_frame='map')
    assert odometry_transforms(settings, None, known._transforms) is known._transforms
    monkeypatch.setattr(odometry, 'is_installed', lambda: False)
    with pytest.raises(ValueError, match='tf2-ros-py'):
        odometry_transforms(settings, None, None)


def test_without_a_memory_transforms_need_not_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(odometry, 'is_installed', lambda: False)
    settings = TemporalSettings(odom_frame='odom')
    found = odometry_for(settings, odometry_transforms(settings, None, None))
    assert found is not None and found.at(header(100.0)) is None
    assert "temporal.odom_frame 'odom' needs tf2_ros" in found.fault


@pytest.mark.parametrize('mount', ['given', 'tf', 'floor'])
def test_all_cameras_share_what_is_listened_to(robot: Robot, monkeypatch: pytest.MonkeyPatch,
                                               mount: str) -> None:
    listeners: list[Any] = []
    monkeypatch.setattr(sys.modules['tf2_ros'], 'TransformListener',
                        lambda buffer, node: listeners.append(buffer))
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(cameras, 'Camera', lambda node, name, **given: made.append(given))
    settings = Settings().changed({
        'cameras': ('front', 'rear'), 'scan.mount': mount, 'scan.floor_frame': 'floor',
        'temporal.memory': 16, 'temporal.odom_frame': 'odom'})
    family = SimpleNamespace(quantity=Quantity.METRES, needs_prompt=False)
    estimator: Any = SimpleNamespace(family=family, prepare=None)
    node: Any = SimpleNamespace(resolve_topic_name=lambda name: name)
    list(cameras.cameras_for(settings, node, estimator, (), lambda frame: None))
    assert len(listeners) == 1
    used = {id(each['odometry']._transforms) for each in made}
    used |= {id(each['mount_source']._transforms) for each in made if each['mount_source']}
    assert len(made) == 2 and len(used) == 1
    assert made[0]['odometry'] is not made[1]['odometry']


def test_a_node_without_odometry_says_so(start: Any) -> None:
    node: RunningNode = start(model='demo', temporal__memory=16, temporal__odom_frame='odom')
    assert node.process.wait(timeout=60) == 1
    assert "temporal.odom_frame 'odom' needs tf2_ros" in node.text()
