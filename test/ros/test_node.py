# SPDX-License-Identifier: Apache-2.0
"""What the running node publishes, seen by another process's eyes."""

import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.ros import codec

from .conftest import camera_info, image, metres


@pytest.fixture(scope='module')
def node(start, checkpoint):
    running = start(model=checkpoint, device='cpu', near='0.7', far='0.705')
    running.wait_for('configured')
    return running


def test_the_log_has_one_line_at_configure_and_none_a_frame(node, peer):
    peer.depth_of(image())
    lines = [line for line in node.text().splitlines() if '[depth_estimation]' in line]
    assert len(lines) == 1
    for fact in ('M parameters', 'cpu', 'fp32', 'network 128x96', 'decoded by', ' s'):
        assert fact in lines[0]


def test_depth_has_the_images_header_and_size(node, peer):
    sent = image(50, 70)
    depth = peer.depth_of(sent)
    assert depth.header == sent.header
    assert (depth.height, depth.width, depth.encoding) == (50, 70, '32FC1')
    assert not depth.is_bigendian


def test_depth_is_the_cores_in_metres_with_rep_117_outside_the_range(node, peer, checkpoint):
    sent = image(seed=3)
    estimator = DepthEstimator(EstimatorOptions(
        model=str(checkpoint), device='cpu', backend='torch'))
    expected, = estimator.estimate([codec.decode(sent)])
    depth = metres(peer.depth_of(sent))
    assert (expected < 0.7).any() and (expected > 0.705).any()
    assert (np.isneginf(depth) == (expected < 0.7)).all()
    assert (np.isposinf(depth) == (expected > 0.705)).all()
    inside = np.isfinite(depth)
    np.testing.assert_allclose(depth[inside], expected[inside], rtol=1e-6)


@pytest.mark.parametrize(('encoding', 'channels', 'padding'), [
    ('bgr8', 3, 0), ('rgba8', 4, 0), ('mono8', 1, 7), ('mono16', 2, 0), ('bayer_rggb8', 1, 0),
    ('yuv422', 2, 4), ('yuv422_yuy2', 2, 0), ('rgb8', 3, 5)])
def test_every_kind_of_encoding_is_served(node, peer, encoding, channels, padding):
    depth = peer.depth_of(image(encoding=encoding, channels=channels, padding=padding))
    assert (depth.height, depth.width) == (48, 64)


def test_the_size_of_the_image_may_change(node, peer):
    for height, width in ((48, 64), (96, 60), (33, 47), (48, 64)):
        depth = peer.depth_of(image(height, width))
        assert (depth.height, depth.width) == (height, width)


def test_camera_info_alone_wakes_no_network(node, peer):
    peer.deafen()
    infos = peer.listen('depth/camera_info', CameraInfo)
    before = counts(peer)
    peer.until(lambda: peer.send('camera_info', camera_info(96, 128)) is not None and bool(
        peer.send('image', image(96, 128)) and (peer.spin_for(0.2) or infos)))
    assert (infos[-1].height, infos[-1].width) == (96, 128)
    assert infos[-1].header.frame_id == 'camera_optical_frame'
    peer.until(lambda: counts(peer).get('dropped_unwanted', 0) > before.get('dropped_unwanted', 0))
    assert counts(peer)['published'] == before['published']


def test_camera_info_follows_with_the_depths_header_and_scaled_intrinsics(node, peer):
    infos = peer.listen('depth/camera_info', CameraInfo)
    peer.listen('depth/image_rect', Image)
    peer.send('camera_info', camera_info(96, 128))
    peer.spin_for(0.3)
    sent = image(48, 64)
    peer.depth_of(sent)
    peer.until(lambda: any(info.header == sent.header for info in infos))
    info = next(info for info in infos if info.header == sent.header)
    assert (info.height, info.width) == (48, 64)
    assert info.k[0] == pytest.approx(64) and info.k[2] == pytest.approx(64.5 / 2 - 0.5)
    assert info.p[5] == pytest.approx(64) and info.p[6] == pytest.approx(48.5 / 2 - 0.5)


def test_preview_shows_the_invalid_apart(node, peer):
    from depth_estimation_ros.core.colour import INVALID_BGR
    previews = peer.listen('depth/preview', Image)
    sent = image(seed=3)
    depth = metres(peer.depth_of(sent))
    peer.until(lambda: any(preview.header == sent.header for preview in previews))
    preview = next(preview for preview in previews if preview.header == sent.header)
    assert (preview.encoding, preview.height, preview.width) == ('bgr8', 48, 64)
    pixels = np.frombuffer(preview.data, np.uint8).reshape(48, 64, 3)
    assert ((pixels == INVALID_BGR).all(axis=2) == ~np.isfinite(depth)).all()


def test_nothing_is_computed_without_subscribers_and_one_frame_ends_the_rest(node, peer):
    peer.depth_of(image())
    before = counts(peer)
    peer.deafen()
    peer.spin_for(1.0)
    for _ in range(5):
        peer.send('image', image())
        peer.spin_for(0.05)
    peer.spin_for(0.5)
    resting = counts(peer)
    assert resting['published'] == before['published']
    assert resting['dropped_unwanted'] >= before.get('dropped_unwanted', 0) + 4
    sent = image()
    assert peer.depth_of(sent).header == sent.header


def test_a_best_effort_subscriber_is_served_too(node, peer):
    peer.listen('depth/image_rect', Image,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    peer.depth_of(image())


def test_every_frame_is_accounted_for(node, peer):
    peer.depth_of(image())
    for seed in range(10):
        peer.send('image', image(seed=seed))
    peer.spin_for(1.5)
    account = counts(peer)
    dropped = sum(value for key, value in account.items() if key.startswith('dropped_'))
    assert account['received'] == account['published'] + dropped


def test_diagnostics_name_model_and_camera(node, peer):
    statuses = peer.diagnostics()
    model = {pair.key: pair.value for pair in statuses['model'].values}
    assert model['precision'] == 'fp32' and model['model'].startswith('/')
    assert 'camera' in statuses


def counts(peer):
    """Return the camera's whole numbers from the newest diagnostics."""
    return {pair.key: int(pair.value) for pair in peer.diagnostics()['camera'].values
            if pair.value.isdigit()}
