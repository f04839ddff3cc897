# SPDX-License-Identifier: Apache-2.0
"""An AprilTag whose pose is known is found where it is."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from depth_estimation_ros.core.errors import DepthError
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.tag import GRID, Tag, TagFinder

from .tags import NUMBER, tag_pose, tag_view

LENS, SHAPE = Pinhole(400.0, 405.0, 138.0, 128.0), (240, 320)
SIZE = 0.16


@pytest.fixture(scope='module')
def ahead() -> np.ndarray:
    """A picture of the tag a metre away."""
    return tag_view(LENS, SHAPE, tag_pose(1.0), SIZE)[0]


@pytest.mark.parametrize(('z', 'tilt'), [(0.6, 0.0), (1.0, 0.4), (2.0, 0.3)])
def test_points_on_the_tag_are_where_the_tag_is(z: float, tilt: float) -> None:
    pose = tag_pose(z, tilt)
    image, _ = tag_view(LENS, SHAPE, pose, SIZE)
    points = TagFinder(Tag(SIZE, NUMBER)).points(image, LENS)
    assert points.shape == (GRID * GRID, 3)
    np.testing.assert_allclose(points[:, 2].mean() / z, 1, atol=0.01)
    off = LENS.fx * (points.mean(0) / points[:, 2].mean() - pose.translation / z)[:2]
    assert np.abs(off).max() < 0.3, 'pixels'
    assert np.ptp(pose.inverse()(points)[:, :2], axis=0) == pytest.approx(0.8 * SIZE, rel=0.02)


def test_a_size_that_is_wrong_by_a_tenth_is_a_distance_that_is(ahead: np.ndarray) -> None:
    points = TagFinder(Tag(1.1 * SIZE)).points(ahead, LENS)
    assert points[:, 2].mean() == pytest.approx(1.1, rel=0.01)


@pytest.mark.parametrize('tag', [Tag(SIZE, NUMBER + 1), Tag(SIZE, family='25h9')])
def test_another_tag_is_passed_over(ahead: np.ndarray, tag: Tag) -> None:
    assert TagFinder(tag).points(ahead, LENS).shape == (0, 3)


def test_a_tag_of_few_pixels_is_passed_over() -> None:
    image, _ = tag_view(LENS, SHAPE, tag_pose(3.4, 0.0), SIZE)
    assert len(TagFinder(Tag(SIZE)).points(image, LENS)) == 0


def test_an_opencv_without_a_detector_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, 'aruco', SimpleNamespace())
    with pytest.raises(DepthError, match=r'pip install .opencv-python-headless>=4\.7'):
        TagFinder(Tag(SIZE))
