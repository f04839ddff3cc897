# SPDX-License-Identifier: Apache-2.0
"""How a camera stands by transforms and by its own floor, and the frame of its scan."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, LaserScan
from std_msgs.msg import Header

from depth_estimation_ros.core.floor_mount import ENOUGH
from depth_estimation_ros.core.mount import Mount, level_in_optical
from depth_estimation_ros.ros import mount_source
from depth_estimation_ros.ros.mount_source import MountSource, mount_source_of, transforms_for
from depth_estimation_ros.ros.outputs import Estimate
from depth_estimation_ros.ros.outputs.scan import ScanSettings

from ..core.test_floor import HEIGHT, LENS, PITCH, SHAPE, floor_map
from .conftest import camera_info, image
from .test_outputs import prepared

TILT = level_in_optical(-0.2, 0.1)


class LookupFailedError(Exception):
    """The double's own."""


class Buffer:
    """Knows one transform, over the floor, at the times it is told."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.static = self.cleared = False

    def clear(self) -> None:
        self.cleared = True

    def lookup_transform(self, target: str, source: str, time: Time) -> TransformStamped:
        assert (target, source) in (('floor', 'optical'), ('floor', 'late'))
        wanted = time.nanoseconds / 1e9
        if self.static:
            return self._transform(wanted)
        if not self.seconds:
            raise LookupFailedError('"floor" does not exist')
        if wanted and not self.seconds[0] <= wanted <= self.seconds[-1]:
            raise LookupFailedError('would require extrapolation')
        return self._transform(wanted or self.seconds[-1])

    def _transform(self, seconds: float) -> TransformStamped:
        found = TransformStamped()
        found.header.stamp = Time(seconds=seconds).to_msg()
        found.transform.translation.z = 0.4
        for axis, value in zip('xyzw', (*(-part for part in TILT[:3]), TILT[3]), strict=True):
            setattr(found.transform.rotation, axis, value)
        return found


class Robot:
    """A double of tf2_ros, with what was sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.buffer, self.sent = Buffer(), list[TransformStamped]()
        module = ModuleType('tf2_ros')
        for name, value in {
                'TransformException': LookupFailedError, 'Buffer': lambda: self.buffer,
                'TransformListener': lambda buffer, node: None,
                'TransformBroadcaster': lambda node: self}.items():
            setattr(module, name, value)
        monkeypatch.setitem(sys.modules, 'tf2_ros', module)
        monkeypatch.setattr(mount_source, 'is_installed', lambda: True)

    def sendTransform(self, transform: TransformStamped) -> None:  # noqa: N802
        self.sent.append(transform)

    def camera(self, **settings: Any) -> MountSource:
        """One camera's."""
        scan = ScanSettings(**{'mount': 'tf', 'floor_frame': 'floor', **settings})
        found = mount_source_of(scan, transforms_for(scan, None))
        assert found is not None
        return found


@pytest.fixture
def robot(monkeypatch: pytest.MonkeyPatch) -> Robot:
    return Robot(monkeypatch)


def header(seconds: float = 100.0) -> Header:
    return Header(stamp=Time(seconds=seconds).to_msg(), frame_id='optical')


def test_what_is_given_asks_nobody() -> None:
    given = ScanSettings(camera_height=1.0)
    assert transforms_for(given, None) is None and mount_source_of(given, None) is None


def test_transforms_tell_height_and_tilt(robot: Robot) -> None:
    robot.buffer.static = True
    camera = robot.camera()
    mount = camera.at(header())
    assert mount is not None and not camera.fault
    assert (mount.height, mount.pitch, mount.roll) == pytest.approx((0.4, -0.2, 0.1))
    assert camera.facts == {'mount': 'height 0.400 m, pitch -0.200 rad, roll 0.100 rad'}


def test_the_level_frame_hangs_below_the_cameras_at_the_images_stamp(robot: Robot) -> None:
    robot.buffer.static = True
    robot.camera().at(header())
    sent, = robot.sent
    assert (sent.header, sent.child_frame_id) == (header(), 'optical_level')
    rotation = sent.transform.rotation
    assert (rotation.x, rotation.y, rotation.z, rotation.w) == pytest.approx(TILT)
    robot.camera(frame='base_scan').at(header())
    assert len(robot.sent) == 1  # the robot's own is the robot's to publish


def test_a_stamp_gets_one_level_frame(robot: Robot) -> None:
    robot.buffer.static = True
    camera = robot.camera()
    for seconds in (100.0, 100.0, 101.0):
        camera.at(header(seconds))
    assert [sent.header for sent in robot.sent] == [header(100.0), header(101.0)]


@pytest.mark.parametrize(('age', 'known'), [(-1.0, True), (0.3, True), (0.6, False)])
def test_a_transform_may_be_a_little_older_than_the_image(robot: Robot, age: float,
                                                         known: bool) -> None:
    robot.buffer.seconds = [90.0, 100.0 - age]
    camera = robot.camera()
    assert (camera.at(header()) is not None) is known
    assert not known or not camera.fault
    assert known or ('0.6 s older than the image' in camera.fault and not robot.sent)


def test_transforms_of_another_clock_are_named(robot: Robot) -> None:
    robot.buffer.seconds = [5000.0]
    camera = robot.camera()
    assert camera.at(header()) is None
    assert '4900.0 s newer' in camera.fault and 'clock' in camera.fault


def test_a_missing_transform_is_named_until_it_comes(robot: Robot) -> None:
    camera = robot.camera()
    assert camera.at(header()) is None and not robot.sent
    assert "from 'optical' to 'floor'" in camera.fault and 'robot_state_publisher' in camera.fault
    robot.buffer.static = True
    assert camera.at(header()) is not None and not camera.fault


def test_a_bag_that_begins_anew_forgets_its_end(robot: Robot) -> None:
    robot.buffer.static = True
    camera = robot.camera()
    for seconds, cleared in ((100.0, False), (99.5, False), (200.0, False), (100.0, True)):
        camera.at(header(seconds))
        assert robot.buffer.cleared is cleared


def test_cameras_whose_clocks_disagree_forget_nothing(robot: Robot) -> None:
    robot.buffer.static = True
    front, late = robot.camera(), robot.camera()
    late._transforms = front._transforms
    for seconds in range(100, 105):
        front.at(header(seconds))
        late.at(Header(stamp=Time(seconds=seconds - 5).to_msg(), frame_id='late'))
    assert not robot.buffer.cleared


def test_an_image_without_a_time_takes_the_newest(robot: Robot) -> None:
    robot.buffer.seconds = [90.0, 100.0]
    camera = robot.camera()
    camera.at(header())
    for stamp in (TimeMessage(), TimeMessage(sec=-5)):
        assert camera.at(Header(stamp=stamp, frame_id='optical')) is not None
    assert not robot.buffer.cleared


def test_without_tf2_ros_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_source, 'is_installed', lambda: False)
    with pytest.raises(ValueError, match='tf2-ros-py'):
        transforms_for(ScanSettings(mount='tf'), None)
    with pytest.raises(ValueError, match=r'scan\.frame'):
        transforms_for(ScanSettings(mount='floor'), None)
    assert transforms_for(ScanSettings(mount='floor', frame='base_scan'), None) is None


def floor_info() -> CameraInfo:
    k = [LENS.fx, 0.0, LENS.cx, 0.0, LENS.fy, LENS.cy, 0.0, 0.0, 1.0]
    return CameraInfo(height=SHAPE[0], width=SHAPE[1], k=k, r=[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0],
                      p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0])


def test_the_floor_in_the_depth_tells_and_the_scan_follows(
        robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_source, 'PERIOD', 0.0)
    camera, output = robot.camera(mount='floor'), prepared('depth/scan', scan__mount='floor')
    depth = (0.8 * floor_map()).astype(np.float32)  # a network that sees everything too near
    estimate = Estimate(header(), depth, floor_info(), SHAPE)
    for _ in range(ENOUGH):
        mount = camera.at(header())
        assert mount is None and not camera.fault  # it is only a matter of time
        assert output.encode(estimate) is None
        camera.observe(estimate)
    mount = camera.at(header())
    assert mount is not None and not camera.fault
    assert mount.height == pytest.approx(0.8 * HEIGHT, rel=0.01)
    assert mount.pitch == pytest.approx(-PITCH, abs=0.01)
    scan = output.encode(Estimate(header(), depth, floor_info(), SHAPE, mount=mount))
    assert scan.header.frame_id == robot.sent[-1].child_frame_id == 'optical_level'
    assert np.nanmin(scan.ranges) > 15.0  # the wall at 16 m, and no floor


def test_an_image_is_searched_once_in_a_while(robot: Robot) -> None:
    camera = robot.camera(mount='floor')
    depth = floor_map().astype(np.float32)
    camera.observe(Estimate(header(), depth, None, SHAPE))  # without a lens there are no rays
    for _ in range(9):
        camera.observe(Estimate(header(), depth, floor_info(), SHAPE))
    assert len(camera._floor.looks) == 1  # type: ignore[attr-defined]


def test_a_mount_told_by_parameters_is_not_replaced() -> None:
    output = prepared('depth/scan', scan__camera_height=HEIGHT, scan__pitch=-PITCH)
    estimate = Estimate(header(), floor_map().astype(np.float32), floor_info(), SHAPE,
                        mount=Mount(0.1))
    assert np.nanmin(output.encode(estimate).ranges) > 15.0


def test_a_node_that_finds_no_floor_says_so_and_gives_depth(start, checkpoint, peer) -> None:
    start(model=checkpoint, device='cpu', scan__mount='floor', scan__frame='base_scan')
    scans = peer.listen('depth/scan', LaserScan)
    sent = image()
    assert peer.depth_of(sent).header == sent.header

    def is_named() -> bool:
        peer.send('camera_info', camera_info())
        peer.send('image', image())
        return 'depth/scan is subscribed to, but not enough floor' in (
            peer.diagnostics()['camera'].message)

    peer.until(is_named)
    assert not scans
