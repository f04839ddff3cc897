# SPDX-License-Identifier: Apache-2.0
"""camera_info over real DDS: of whichever size, latched or not, and named where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from depth_estimation_ros.ros.camera_info import info_faults

from .conftest import camera_info, image

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                     durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(scope='module')
def node(start, checkpoint):
    # the peer shows one picture again and again, as a simulator does that stands still
    running = start('-r', '__ns:=/lens', model=checkpoint, device='cpu', monitor__frozen=0.0)
    running.wait_for('configured')
    return running


@pytest.fixture
def camera(node, peer):
    """The peer with camera_info listened to, and nothing of the test before."""
    peer.listen('/lens/depth/camera_info', CameraInfo)
    return peer


def published(peer, info: CameraInfo, height: int, width: int, **expected: Any) -> CameraInfo:
    """Send calibration and images until the depth's calibration is as expected; return it."""
    infos = peer.seen['/lens/depth/camera_info']

    def arrived() -> bool:
        peer.send('/lens/camera_info', info)
        peer.spin_for(0.1)
        sent = image(height, width)
        peer.depth_of(sent, '/lens/')
        peer.spin_for(0.05)
        return bool(infos) and infos[-1].header == sent.header and all(
            list(np.ravel(getattr(infos[-1], name))) == list(np.ravel(value))
            for name, value in expected.items())

    peer.until(arrived)
    return infos[-1]


def named(peer, info: CameraInfo, fault: str) -> DiagnosticStatus:
    """Send a calibration until diagnostics name its fault; return the status."""
    statuses = []

    def arrived() -> bool:
        peer.send('/lens/camera_info', info)
        statuses.append(status(peer))
        return fault in statuses[-1].message

    peer.until(arrived)
    return statuses[-1]


def status(peer):
    return peer.diagnostics()['camera']


def test_the_crop_of_an_image_keeps_its_focal_length(camera):
    info = camera_info(96, 128)
    info.roi = RegionOfInterest(x_offset=20, y_offset=10, width=80, height=40)
    got = published(camera, info, 40, 80, k=[128.0, 0, 44.0, 0, 128.0, 38.0, 0, 0, 1.0])
    assert (got.width, got.height, got.roi, got.binning_x) == (80, 40, RegionOfInterest(), 0)
    assert (got.p[0], got.p[2], got.p[6]) == (128.0, 44.0, 38.0)
    camera.until(lambda: 'camera_info' not in status(camera).message)


def test_crop_and_binning_together(camera):
    info = camera_info(192, 256)
    info.roi = RegionOfInterest(x_offset=20, y_offset=10, width=160, height=80, do_rectify=True)
    info.binning_x = info.binning_y = 2
    got = published(camera, info, 40, 80, k=[128.0, 0, 54.0, 0, 128.0, 43.0, 0, 0, 1.0])
    assert not got.roi.do_rectify


def test_a_simulators_missing_r_and_p_are_filled_in(camera):
    info = camera_info()
    info.r, info.p = np.zeros(9), np.zeros(12)
    published(camera, info, 48, 64, r=[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0],
              p=[64.0, 0, 32.0, 0, 0, 64.0, 24.0, 0, 0, 0, 1.0, 0])


def wrong(**changes) -> CameraInfo:
    info = camera_info()
    for name, value in changes.items():
        setattr(info, name, value)
    return info


WRONG = {
    'K all NaN': (wrong(k=[np.nan] * 9), 'K that is not finite'),
    'not calibrated': (CameraInfo(), 'not calibrated'),
    'R and P zero with 8 coefficients': (
        wrong(d=[0.1] * 8, distortion_model='rational_polynomial', r=[0.0] * 9, p=[0.0] * 12),
        'R and P in camera_info are zero'),
    'fisheye': (wrong(d=[0.1] * 4, distortion_model='equidistant'), 'fisheye'),
    'distorted': (wrong(d=[0.1] * 5), 'D is not zero'),
    'another aspect': (wrong(height=64), 'another aspect'),
    'no distortion model': (wrong(distortion_model=''), 'no distortion_model'),
}


@pytest.mark.parametrize('name', WRONG)
def test_a_wrong_calibration_is_a_warning(node, camera, name):
    info, fault = WRONG[name]
    camera.depth_of(image(), '/lens/')
    assert named(camera, info, fault).level == DiagnosticStatus.WARN
    node.wait_for(fault)


def test_a_right_calibration_ends_the_warning(camera):
    published(camera, wrong(k=[np.nan] * 9), 48, 64, k=np.zeros(9))
    camera.until(lambda: 'camera_info' in status(camera).message)
    published(camera, camera_info(), 48, 64, k=camera_info().k)
    camera.until(lambda: 'camera_info' not in status(camera).message)
    assert status(camera).level == DiagnosticStatus.OK


def test_another_cameras_calibration_is_named(camera):
    info = camera_info()
    info.header.frame_id = 'rear_optical_frame'
    camera.depth_of(image(), '/lens/')
    named(camera, info, "of frame 'rear_optical_frame'")


def test_images_without_a_frame_are_named(camera):
    sent = image()
    sent.header.frame_id = ''
    camera.depth_of(sent, '/lens/')
    camera.until(lambda: 'no frame_id' in status(camera).message)


def test_a_frame_that_tf_refuses_is_named_and_the_same_in_the_calibration(camera):
    sent = image()
    sent.header.frame_id = '/camera_optical_frame'
    camera.depth_of(sent, '/lens/')
    told = named(camera, camera_info(), 'begins with /, which tf')
    assert 'is of frame' not in told.message


def test_calibration_that_follows_the_size_at_run_time(camera):
    for height, width in ((48, 64), (96, 128), (48, 64)):
        got = published(camera, camera_info(height, width), height, width,
                        k=camera_info(height, width).k)
        assert (got.height, got.width) == (height, width)


def test_the_calibration_of_an_unwanted_image_is_of_its_size(camera):
    camera.deafen()
    infos = camera.listen('/lens/depth/camera_info', CameraInfo)
    info = camera_info(96, 128)
    info.roi = RegionOfInterest(x_offset=20, y_offset=10, width=80, height=40)
    camera.until(lambda: camera.send('/lens/camera_info', info) is not None
                 and camera.send('/lens/image', image(40, 80)) is not None
                 and camera.spin_for(0.2) is None
                 and any(got.width == 80 and got.k[2] == 44.0 for got in infos))


def test_latched_calibration_sent_once_before_the_node_starts_is_received(
        start, checkpoint, peer):
    latched = peer.create_publisher(CameraInfo, '/early/camera_info', LATCHED)
    latched.publish(camera_info())
    node = start('-r', '__ns:=/early', model=checkpoint, device='cpu')
    infos = peer.listen('/early/depth/camera_info', CameraInfo)
    node.wait_for('configured')
    peer.until(lambda: bool(peer.depth_of(image(), '/early/') and infos))
    assert infos[-1].k[0] == 64.0
    peer.destroy_publisher(latched)
    late = peer.create_publisher(CameraInfo, '/early/camera_info', LATCHED)
    late.publish(camera_info(48, 63))
    peer.until(lambda: bool(peer.depth_of(image(48, 63), '/early/') and infos[-1].k[0] == 63.0))
    peer.destroy_publisher(late)
    peer.until(lambda: peer.count_subscribers('/early/camera_info') == 1)
    peer.send('/early/camera_info', camera_info(48, 65))
    peer.until(lambda: bool(peer.depth_of(image(48, 65), '/early/') and infos[-1].k[0] == 65.0))
    assert 'incompatible' not in node.text()
    assert node.end()[0] == 0


@pytest.mark.parametrize(('topic', 'rectified'), [
    ('/cam/image_rect', True), ('/cam/image_rect_color', True), ('/cam/rect/image', True),
    ('/cam/image_rect/compressed', True), ('/image_rectified', True), ('/cam/image_raw', False),
    ('/image', False), ('/cam/image_unrectified', False), ('/direct/image', False)])
def test_the_topics_name_says_whether_distortion_is_left(topic, rectified):
    told = info_faults(wrong(d=[0.1] * 5), (48, 64), 'camera_optical_frame', topic)
    assert bool(told) != rectified
