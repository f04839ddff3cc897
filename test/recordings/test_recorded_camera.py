# SPDX-License-Identifier: Apache-2.0
"""A real camera's recording, where the variable DEPTH_TEST_RECORDING names one."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from depth_estimation_ros.recordings import (
    COMPRESSED_IMAGE,
    find_cameras,
    metres,
    open_recording,
    shots,
)

SOURCE = os.environ.get('DEPTH_TEST_RECORDING', '')
pytestmark = pytest.mark.skipif(
    not SOURCE, reason='DEPTH_TEST_RECORDING names no recording of images, calibration and depth')


def test_a_real_camera_has_images_its_own_calibration_and_depth():
    recording = open_recording(SOURCE)
    camera = find_cameras(recording)[0]
    made = list(shots(recording, camera))
    assert len(made) == recording.count(camera.image) > 0
    assert not recording.warnings
    for shot in made:
        if shot.image.type == COMPRESSED_IMAGE:
            picture = cv2.imdecode(shot.image.message.data, cv2.IMREAD_COLOR)
            assert picture is not None
            size = picture.shape[:2]
        else:
            size = (shot.image.message.height, shot.image.message.width)
        assert shot.info is not None and size == (shot.info.message.height,
                                                  shot.info.message.width)
        assert shot.info.message.header.frame_id == shot.image.message.header.frame_id
    depths = [metres(shot.truth.message) for shot in made if shot.truth is not None]
    assert len(depths) > len(made) / 2
    assert all(depth.shape == size and 0.2 < np.nanmedian(depth) < 20 for depth in depths)
