# SPDX-License-Identifier: Apache-2.0
"""The playback camera's messages: what a recording holds becomes what a camera publishes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from depth_estimation_ros.recordings import (
    Camera,
    RecordingError,
    find_cameras,
    open_recording,
    shots,
)
from depth_estimation_ros.ros import codec
from depth_estimation_ros.tools.camera import moment_of, moments, replay

from ..recordings.bags import (
    START,
    compressed,
    drive,
    image,
    info,
    jpeg,
    write_mcap,
    write_ros1,
)

PICTURE = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))[:, :, None].repeat(3, 2)
DEPTH = np.full((48, 64), 1234, np.uint16)
PNG = bytes(12) + bytes(cv2.imencode('.png', DEPTH)[1])


def test_raw_images_and_calibration_are_rclpys_own(tmp_path):
    recording = open_recording(write_ros1(tmp_path / 'drive.bag', drive()))
    camera, = find_cameras(recording)
    said = drive()
    for number, shot in enumerate(shots(recording, camera)):
        moment = moment_of(shot)
        assert isinstance(moment.image, Image)
        assert moment.info is not None and moment.truth is not None
        assert moment.image.data.tobytes() == said[4 * number].message.data.tobytes()
        assert list(moment.info.k) == list(said[4 * number + 1].message.k)
        assert moment.truth.data.tobytes() == said[4 * number + 2].message.data.tobytes()


def test_compressed_images_are_decoded_for_raw_transport_only(tmp_path):
    said = [jpeg(PICTURE, START), info(START),
            compressed(PNG, '16UC1; compressedDepth png', START, topic='/cam/depth')]
    recording = open_recording(write_mcap(tmp_path / 'drive.mcap', said))
    shot = next(shots(recording, find_cameras(recording)[0]))
    raw, passed = moment_of(shot), moment_of(shot, 'compressed')
    assert np.abs(codec.decode(raw.image).astype(int) - PICTURE).max() < 8
    assert isinstance(passed.image, CompressedImage)
    assert passed.image.data.tobytes() == said[0].message.data.tobytes()
    assert raw.truth is not None and raw.truth.encoding == '16UC1'
    assert np.array_equal(np.frombuffer(raw.truth.data, np.uint16).reshape(48, 64), DEPTH)


def test_a_broken_image_is_passed_over_and_named(tmp_path):
    whole = jpeg(PICTURE, START).message.data.tobytes()
    said = [compressed(data, 'jpeg', START + number * 10**8)
            for number, data in enumerate((whole, whole[:200], whole))]
    recording = open_recording(write_mcap(tmp_path / 'drive.mcap', said))
    made = list(moments(recording, shots(recording, find_cameras(recording)[0]), 'raw'))
    assert len(made) == 2
    assert recording.warnings


@pytest.mark.parametrize(('options', 'expected'), [
    ({}, 3), ({'frames': 2}, 2), ({'frames': 7}, 7), ({'least': 2}, 3), ({'least': 3}, 3),
    ({'least': 4}, 6)])
def test_a_recording_is_played_again_until_there_are_enough(tmp_path, options, expected):
    said = [image(np.full((4, 4, 3), number, np.uint8), 'bgr8', START + number * 10**8)
            for number in range(3)]
    recording = open_recording(write_mcap(tmp_path / 'drive.mcap', said))
    played = [int(shot.image.message.data[0])
              for shot in replay(recording, Camera('/cam/image_raw'), **options)]
    assert played == [number % 3 for number in range(expected)]


def test_a_camera_without_a_readable_image_ends_instead_of_going_round(tmp_path):
    recording = open_recording(write_mcap(tmp_path / 'drive.mcap', [info(START)]))
    with pytest.raises(RecordingError, match='no image of /cam/image_raw can be read'):
        next(replay(recording, Camera('/cam/image_raw', '/cam/camera_info'), frames=3))


@pytest.mark.parametrize(('arguments', 'named'), [
    (['{bag}', '--topic', '/rear/image'], 'no topic /rear/image; it has /cam/aligned_depth'),
    (['{bag}', '--transport', 'compressed'], 'is not compressed'),
    (['{bag}.nowhere'], 'does not exist')])
def test_what_cannot_be_played_ends_with_one_line(tmp_path: Path, arguments, named):
    path = write_mcap(tmp_path / 'drive.mcap', drive())
    done = subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.tools.camera',
         *(argument.format(bag=path) for argument in arguments)],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert named in done.stderr and done.stderr.count('\n') == 1
