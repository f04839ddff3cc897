# SPDX-License-Identifier: Apache-2.0
"""What the tools take for a camera's lens: that which the node takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from depth_estimation_ros.calibration_file import read_calibration
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.frame import Frame
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.tag import Tag, TagFinder
from depth_estimation_ros.recordings import find_cameras, open_recording
from depth_estimation_ros.ros.calibrations import CameraCalibration
from depth_estimation_ros.ros.camera_info import calibration_of, focal_length_of
from depth_estimation_ros.ros.camera_info import lens_of as node_lens_of
from depth_estimation_ros.ros.model import Source
from depth_estimation_ros.tools import calibrate
from depth_estimation_ros.tools.references import TagReference
from depth_estimation_ros.tools.views import (
    OneCamera,
    Predictor,
    View,
    lens_of,
    recorded_views,
)
from test.core.tags import tag_pose, tag_view
from test.recordings.bags import PERIOD, START, Said, image, info, write_rosbag2

SHAPE = (48, 64)
K, P = 60.0, 54.0
"""Focal lengths that differ by more than a calibration may, as a wide lens's do."""


def wide_info(time: int, topic: str = '/cam/camera_info') -> Said:
    """A calibration whose rectified image has another focal length than the raw one."""
    said = info(time, topic=topic, fx=K)
    said.message.p = np.array([P, 0, 31.0, 0, 0, P, 23.0, 0, 0, 0, 1, 0])
    return said


def wide_drive(name: str) -> list[Said]:
    """A camera that stands, the depth of a model, and a depth camera 1.25 times as far."""
    return [said for time in range(START, START + 4 * PERIOD, PERIOD) for said in (
        image(np.full((*SHAPE, 3), 90, np.uint8), 'rgb8', time, topic=f'/cam/{name}'),
        wide_info(time),
        image(np.full(SHAPE, 2.0, np.float32), '32FC1', time, topic='/model/depth'),
        image(np.full(SHAPE, 2.5, np.float32), '32FC1', time, topic='/cam/depth'))]


@pytest.mark.parametrize('name', ['image_raw', 'image_rect', 'image_direct'])
def test_the_node_takes_what_was_calibrated_with_its_own_camera_info(tmp_path: Path,
                                                                     name: str) -> None:
    drive, output = tmp_path / 'drive', tmp_path / 'calibration.yaml'
    write_rosbag2(drive, wide_drive(name))
    assert calibrate.main(['depth', str(drive), '--image', f'/cam/{name}', '--prediction',
                           '/model/depth', '--depth', '/cam/depth', '--output',
                           str(output)]) == 0
    focal = focal_length_of(wide_info(START).message, *SHAPE[::-1])
    metres = CameraCalibration(read_calibration(output), None)(
        torch.full(SHAPE, 2.0), Source(0, Quantity.METRES, None, SHAPE, ''), focal)
    np.testing.assert_allclose(metres, 2.5)


@pytest.mark.parametrize('shape', [SHAPE, (24, 32)])
@pytest.mark.parametrize('has_p', [True, False])
def test_tools_and_node_see_through_one_lens(shape: tuple[int, int], has_p: bool) -> None:
    message = wide_info(START).message
    message.p = message.p * has_p
    lens = lens_of(View('', lens=calibration_of(message)), shape, None)
    assert lens is not None and lens == node_lens_of(message, *shape[::-1])
    assert lens.fx == (P if has_p else K) * shape[0] / SHAPE[0]


def test_a_model_gets_the_focal_length_that_it_gets_of_the_node(
        monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float | None] = []

    class Estimator:
        def network_size(self, frame: Frame) -> tuple[int, int]:
            return SHAPE

        def estimate(self, frames: list[Frame]) -> list[np.ndarray]:
            given.append(frames[0].focal_length)
            return [np.ones(SHAPE, np.float32)]

    monkeypatch.setattr(Predictor, '_loaded', lambda _: Estimator())
    message = wide_info(START).message
    Predictor('demo', 'cpu')(View('', np.zeros((*SHAPE, 3), np.uint8),
                                  lens=calibration_of(message)))
    assert given == [focal_length_of(message, *SHAPE[::-1])]


@pytest.mark.parametrize(('topic', 'is_distorted'), [
    ('/cam/image_rect_color', False), ('/cam/image_direct', True), ('/cam/image_raw', True)])
def test_only_a_rectified_topic_is_without_distortion(topic: str, is_distorted: bool) -> None:
    message = wide_info(START).message
    message.d = np.array([0.1, 0, 0, 0, 0])
    camera = OneCamera(topic, None)
    camera.lens(View('', lens=calibration_of(message)), SHAPE)
    assert camera.distorted is is_distorted


@pytest.mark.parametrize('part', [1, 2])
def test_the_focal_length_of_a_map_is_scaled_for_the_image_of_its_tags(part: int) -> None:
    """A tag in an image whose map is smaller, and a focal length that is the map's."""
    z, lens, shape = 1.5, Pinhole(300.0, 300.0, 119.5, 89.5), (180, 240)
    rgb, depth = tag_view(lens, shape, tag_pose(z), 0.3)
    reference = TagReference(TagFinder(Tag(0.3)), lens.fx / part)
    view, small = View('', rgb), np.ascontiguousarray(depth[::part, ::part], np.float32)
    found = reference.pairs(view, small, OneCamera('', lens.fx / part).lens(view, small.shape))
    assert found is not None
    np.testing.assert_allclose(found[1], found[0], rtol=0.03)


def test_images_of_12_bits_are_as_bright_as_the_node_takes_them(tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (*SHAPE, 3))
    pixels[0, 0] = 255
    stored = np.rint(pixels * 4095 / 255).astype(np.uint16)
    drive = write_rosbag2(tmp_path / 'drive', [image(stored, 'rgb16', START)])
    recording = open_recording(drive)
    view, = recorded_views(recording, find_cameras(recording)[0])
    np.testing.assert_array_equal(view.image, pixels)
