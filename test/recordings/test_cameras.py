# SPDX-License-Identifier: Apache-2.0
"""Which topics belong together: by namespace, then by frame; never another camera's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.recordings import Camera, RecordingError, find_cameras, open_recording
from depth_estimation_ros.recordings.cameras import check_registered

from .bags import START, Said, compressed, image, info, jpeg, write_mcap

PIXELS = np.zeros((48, 64, 3), np.uint8)
MILLIMETRES = np.full((48, 64), 1000, np.uint16)


def colour(topic: str, frame: str = 'optical', encoding: str = 'bgr8') -> Said:
    pixels = PIXELS[:, :, 0] if encoding == 'mono8' else PIXELS
    return image(np.ascontiguousarray(pixels), encoding, START, frame, topic)


def depth(topic: str, frame: str = 'optical') -> Said:
    return image(MILLIMETRES, '16UC1', START, frame, topic)


def calibration(topic: str, frame: str = 'optical') -> Said:
    return info(START, frame, topic)


def empty(topic: str) -> Said:
    """Return an image as some drivers send it before the first one."""
    return image(np.zeros((0, 0, 3), np.uint8), '', START - 1, topic=topic)


CASES: dict[str, tuple[list[Said], list[Camera]]] = {
    'beside the image': (
        [colour('/cam/image_raw'), calibration('/cam/camera_info')],
        [Camera('/cam/image_raw', '/cam/camera_info')]),
    'below the image, as newer drivers do': (
        [colour('/zed/rgb/image'), calibration('/zed/rgb/image/camera_info')],
        [Camera('/zed/rgb/image', '/zed/rgb/image/camera_info')]),
    'beside a compressed image': (
        [jpeg(PIXELS, START, topic='/cam/image/compressed'), calibration('/cam/camera_info')],
        [Camera('/cam/image/compressed', '/cam/camera_info')]),
    'at the root': (
        [jpeg(PIXELS, START, topic='/image/compressed'), calibration('/camera_info')],
        [Camera('/image/compressed', '/camera_info')]),
    'two cameras, one calibration': (
        [colour('/front/image', 'front'), colour('/rear/image', 'rear'),
         calibration('/rear/camera_info', 'rear')],
        [Camera('/front/image'), Camera('/rear/image', '/rear/camera_info')]),
    'two cameras in one namespace': (
        [colour('/stereo/left_image', 'left'), colour('/stereo/right_image', 'right'),
         calibration('/stereo/camera_info', 'right')],
        [Camera('/stereo/left_image'), Camera('/stereo/right_image', '/stereo/camera_info')]),
    'by frame where no name fits': (
        [colour('/left', 'left'), colour('/right', 'right'),
         calibration('/info_of_right', 'right'), calibration('/info_of_left', 'left')],
        [Camera('/left', '/info_of_left'), Camera('/right', '/info_of_right')]),
    'a driver whose frames differ, alone in its namespace': (
        [colour('/cam/image_raw', 'camera'), calibration('/cam/camera_info', 'camera_optical')],
        [Camera('/cam/image_raw', '/cam/camera_info')]),
    'no frame at all': (
        [colour('/a/image', ''), calibration('/b/camera_info', '')], [Camera('/a/image')]),
    'raw and compressed of one camera are one': (
        [colour('/cam/image'), jpeg(PIXELS, START, topic='/cam/image/compressed')],
        [Camera('/cam/image')]),
    'rectified first, grey last': (
        [colour('/a/infra', encoding='mono8'), colour('/b/image_raw'), colour('/c/image_rect')],
        [Camera('/c/image_rect'), Camera('/b/image_raw'), Camera('/a/infra')]),
    'depth of the same frame': (
        [colour('/cam/image'), depth('/other/depth', 'other'), depth('/cam/depth')],
        [Camera('/cam/image', truth='/cam/depth')]),
    'depth that is not in the geometry of the image': (
        [colour('/cam/image', 'colour'), depth('/cam/depth', 'depth')], [Camera('/cam/image')]),
    'aligned depth before other depth': (
        [colour('/cam/image'), depth('/cam/a_depth'), depth('/cam/depth_registered/image')],
        [Camera('/cam/image', truth='/cam/depth_registered/image')]),
    'compressedDepth is depth': (
        [colour('/cam/image'),
         compressed(bytes(20), '16UC1; compressedDepth', START, topic='/d/compressedDepth')],
        [Camera('/cam/image', truth='/d/compressedDepth')]),
    'mono16 named Depth, as RealSense bags have it': (
        [image(MILLIMETRES, 'mono16', START, '', '/device_0/sensor_0/Depth_0/image/data'),
         image(PIXELS, 'rgb8', START, '', '/device_0/sensor_1/Color_0/image/data')],
        [Camera('/device_0/sensor_1/Color_0/image/data',
                truth='/device_0/sensor_0/Depth_0/image/data')]),
    'Aligned depth before other depth': (
        [colour('/cam/image'), depth('/cam/A_depth'), depth('/cam/Aligned_Depth/image')],
        [Camera('/cam/image', truth='/cam/Aligned_Depth/image')]),
    'a slash before some of the frames, as ROS 1 allows': (
        [colour('/a/image', 'cam'), calibration('/info', '/cam'), depth('/depth', '/cam')],
        [Camera('/a/image', '/info', '/depth')]),
    'a slash does not make the frame of a calibration another one': (
        [colour('/cam/image', 'cam'), colour('/far/image', '/cam'),
         calibration('/cam/camera_info', '/cam')],
        [Camera('/cam/image', '/cam/camera_info'), Camera('/far/image', '/cam/camera_info')]),
    'an empty image before depth': (
        [empty('/cam/a_depth'), depth('/cam/a_depth'), colour('/cam/image')],
        [Camera('/cam/image', truth='/cam/a_depth')]),
    'empty images and jpegs before full ones': (
        [empty('/a/image'), compressed(b'', '', START, topic='/b/image/compressed'),
         colour('/a/image', encoding='mono8'), jpeg(PIXELS, START, topic='/b/image/compressed')],
        [Camera('/b/image/compressed'), Camera('/a/image')]),
}


@pytest.mark.parametrize('case', CASES)
def test_what_belongs_to_a_camera(tmp_path: Path, case: str) -> None:
    said, cameras = CASES[case]
    assert find_cameras(open_recording(write_mcap(tmp_path / 'a.mcap', said))) == cameras


def test_a_calibration_of_the_same_frame_beside_another_image_is_warned_of(tmp_path: Path) -> None:
    recording = open_recording(write_mcap(tmp_path / 'one.mcap', [
        colour('/front/image_raw', 'camera'), colour('/rear/image_raw', 'camera'),
        calibration('/rear/camera_info', 'camera')]))
    assert [camera.info for camera in find_cameras(recording)] == ['/rear/camera_info'] * 2
    warning, = recording.warnings
    assert '/front/image_raw takes /rear/camera_info' in warning and 'frame_id' in warning


def test_a_topic_by_name(tmp_path: Path) -> None:
    said = [colour('/a/image'), colour('/b/image', 'b'), depth('/somewhere/depth', 'far')]
    recording = open_recording(write_mcap(tmp_path / 'a.mcap', said))
    assert find_cameras(recording, '/b/image', '/somewhere/depth') == [
        Camera('/b/image', truth='/somewhere/depth')]
    with pytest.raises(RecordingError, match=r'no topic /c/image; it has /a/image \(sensor_msgs'):
        find_cameras(recording, '/c/image')
    with pytest.raises(RecordingError, match='/somewhere/depth holds no colour image'):
        find_cameras(recording, '/somewhere/depth')


def test_a_topic_of_empty_images_is_no_camera_and_named(tmp_path: Path) -> None:
    recording = open_recording(write_mcap(tmp_path / 'a.mcap', [empty('/a/image')]))
    with pytest.raises(RecordingError, match='/a/image begins with 1 empty messages'):
        find_cameras(recording)


def test_depth_of_the_same_frame_but_for_a_slash_is_registered(tmp_path: Path) -> None:
    recording = open_recording(write_mcap(tmp_path / 'a.mcap', [
        colour('/cam/image', 'cam'), depth('/depth', '/cam')]))
    check_registered(recording, Camera('/cam/image', truth='/depth'))
    assert not recording.warnings
