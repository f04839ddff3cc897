# SPDX-License-Identifier: Apache-2.0
"""Points of scans and clouds, and where their sensors are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.core.rigid import Rigid
from depth_estimation_ros.recordings import (
    RecordingError,
    StaticTransforms,
    find_cameras,
    open_recording,
    points_of,
    shots,
)

from .bags import PERIOD, START, drive, image, info, write_rosbag2
from .sensors import cloud, scan, static_transform

POINTS = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
TURN = (0.1, 0.2, -0.3, 0.927361849)


def test_a_scan_is_the_ends_of_its_beams() -> None:
    angles = np.linspace(-np.pi / 2, np.pi, 7)
    ranges = np.array([2.0, np.nan, 3.0, 0.01, np.inf, 31.0, 4.0])
    np.testing.assert_allclose(points_of(scan(ranges, angles, START).message), [
        [0, -2, 0], [3, 0, 0], [-4, 0, 0]], atol=1e-6)


@pytest.mark.parametrize('dtype', ['<f4', '>f4', '<f8', '>f8'])
def test_a_cloud_is_read_by_its_fields(dtype: str) -> None:
    seen = np.insert(POINTS, 1, np.nan, axis=0)
    np.testing.assert_array_equal(points_of(cloud(seen, START, dtype=dtype).message), POINTS)


def test_what_is_no_points_is_named() -> None:
    broken = cloud(POINTS, START).message
    broken.row_step = 3
    with pytest.raises(RecordingError, match='row_step 3 does not fit'):
        points_of(broken)
    for offset in 17, 2**32 - 1:
        narrow = cloud(POINTS, START).message
        narrow.fields[2].offset = offset
        with pytest.raises(RecordingError, match='point_step of 16 bytes'):
            points_of(narrow)
    flat = cloud(POINTS, START).message
    del flat.fields[2]
    with pytest.raises(RecordingError, match='fields x, y has no x, y and z'):
        points_of(flat)
    with pytest.raises(RecordingError, match='no scan and no cloud'):
        points_of(info(START).message)


def test_clouds_are_paired_and_their_size_is_no_change(tmp_path: Path) -> None:
    said = [*drive(2), cloud(POINTS, START), cloud(POINTS[:1], START + PERIOD)]
    recording = open_recording(write_rosbag2(tmp_path / 'drive', sorted(
        said, key=lambda one: one.time)))
    camera = find_cameras(recording, '/cam/image_raw', '/points')[0]
    found = [points_of(shot.truth.message) for shot in shots(recording, camera) if shot.truth]
    assert [len(points) for points in found] == [2, 1]
    assert not [text for text in recording.warnings if '/points' in text]


@pytest.mark.parametrize(('tolerance', 'paired'), [(40_000_000, 2), (20_000_000, 0)])
def test_the_tolerance_is_what_is_asked(tmp_path: Path, tolerance: int, paired: int) -> None:
    said = [each for number in range(2) for each in (
        image(np.zeros((4, 4, 3), np.uint8), 'bgr8', START + number * 10**9),
        cloud(POINTS, START + number * 10**9 + 30_000_000))]
    recording = open_recording(write_rosbag2(tmp_path / 'drive', said))
    camera = find_cameras(recording, '', '/points')[0]
    assert sum(shot.truth is not None for shot in shots(
        recording, camera, tolerance=tolerance)) == paired


@pytest.fixture
def frames(tmp_path: Path) -> StaticTransforms:
    """A camera and a laser on a robot, in two messages, and a frame of another."""
    return StaticTransforms(open_recording(write_rosbag2(tmp_path / 'drive', [
        static_transform(START, ('base', 'mast', (1, 2, 3), TURN),
                         ('mast', 'optical', (0, 0.5, 0), (0.5, -0.5, 0.5, 0.5))),
        static_transform(START + 1, ('/base', 'laser', (0.3, 0, 0.2), (0, 0, 1, 0)),
                         ('other', 'far', (9, 9, 9), (0, 0, 0, 1)))])))


def test_a_chain_of_static_transforms_is_followed(frames: StaticTransforms) -> None:
    base_to_mast = Rigid.from_quaternion((1, 2, 3), TURN)
    mast_to_optical = Rigid.from_quaternion((0, 0.5, 0), (0.5, -0.5, 0.5, 0.5))
    laser = Rigid.from_quaternion((0.3, 0, 0.2), (0, 0, 1, 0))
    found = frames.between('optical', '/laser')
    np.testing.assert_allclose((base_to_mast @ mast_to_optical)(found(POINTS)), laser(POINTS),
                               atol=1e-9)
    np.testing.assert_allclose(frames.between('optical', 'optical')(POINTS), POINTS)


def test_a_chain_that_is_not_there_is_named_with_the_remedy(frames: StaticTransforms) -> None:
    with pytest.raises(RecordingError, match=r"'optical' to 'far' .*base, far.*--transform"):
        frames.between('optical', 'far')


def test_a_transform_that_is_none_is_passed_over(tmp_path: Path) -> None:
    recording = open_recording(write_rosbag2(tmp_path / 'drive', [
        static_transform(START, ('base', 'laser', (0, 0, 0), (0, 0, 0, 0)),
                         ('base', 'optical', (1, 0, 0), (0, 0, 0, 1)))]))
    found = StaticTransforms(recording)
    with pytest.raises(RecordingError, match='frames in tf_static: base, optical'):
        found.between('base', 'laser')
    assert [text for text in recording.warnings if 'no transform' in text] == recording.warnings
    assert len(recording.warnings) == 1
    np.testing.assert_allclose(found.between('base', 'optical').translation, (1, 0, 0))


def test_a_message_that_cannot_be_decoded_is_passed_over(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = open_recording(write_rosbag2(tmp_path / 'drive', [
        static_transform(START, ('base', 'laser', (0, 0, 0), (0, 0, 0, 1)))]))
    whole = next(recording.records(['/tf_static']))
    cut = replace(whole, data=whole.data[:20])
    monkeypatch.setattr(recording, 'records', lambda _: iter([cut, whole]))
    assert StaticTransforms(recording).between('base', 'laser') is not None
    assert '/tf_static' in recording.warnings[-1]
