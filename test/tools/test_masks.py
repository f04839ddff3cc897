# SPDX-License-Identifier: Apache-2.0
"""Masks of any encoding and file: what is not 0 is part of an object, what is broken is named."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_estimation_ros.recordings import RecordingError
from depth_estimation_ros.tools.masks import mask_of, read_mask
from test.recordings.bags import START, compressed, image

OBJECTS = np.zeros((12, 16), np.uint8)
OBJECTS[3:6, 2:9] = 1


@pytest.mark.parametrize(('encoding', 'dtype'), [
    ('8UC1', np.uint8), ('mono8', np.uint8), ('mono16', np.uint16), ('16UC1', np.uint16),
    ('32FC1', np.float32), ('8UC3', np.uint8), ('rgb16', np.uint16)])
def test_the_least_value_marks_an_object_and_nothing_is_logged(
        encoding: str, dtype: type, caplog: pytest.LogCaptureFixture) -> None:
    pixels: np.ndarray = OBJECTS.astype(dtype)
    if encoding in ('8UC3', 'rgb16'):
        pixels = np.dstack([pixels] * 3)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(mask_of(image(pixels, encoding, START).message),
                                          OBJECTS > 0)
    assert not caplog.records


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_a_compressed_mask_likewise(dtype: type, caplog: pytest.LogCaptureFixture) -> None:
    png = cv2.imencode('.png', OBJECTS.astype(dtype))[1].tobytes()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(mask_of(compressed(png, 'png', START).message), OBJECTS > 0)
    assert not caplog.records


def test_a_message_that_is_broken_is_named() -> None:
    broken = image(OBJECTS, '8UC1', START).message
    broken.step = 3
    for message in broken, compressed(b'no picture', 'png', START).message:
        with pytest.raises(RecordingError, match='no mask'):
            mask_of(message)


def test_a_mask_may_be_an_array_in_a_file(tmp_path: Path) -> None:
    for number, pixels in enumerate((OBJECTS, OBJECTS > 0, OBJECTS.astype(np.float32))):
        np.save(tmp_path / f'{number}.npy', pixels)
        np.testing.assert_array_equal(read_mask(tmp_path / f'{number}.npy'), OBJECTS > 0)


@pytest.mark.parametrize('content', [b'', b'\x93NUMPY', b'PK\x03\x04', b'text'], ids=str)
def test_a_file_that_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'mask.npy'
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r'mask\.npy'):
        read_mask(path)


def test_an_array_of_no_numbers_is_no_mask(tmp_path: Path) -> None:
    np.save(tmp_path / 'mask.npy', np.full((2, 2), 'object'))
    with pytest.raises(RecordingError, match='cannot be read as a mask'):
        read_mask(tmp_path / 'mask.npy')
