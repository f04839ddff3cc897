# SPDX-License-Identifier: Apache-2.0
"""The demo's picture shows what came, where it is: against the renderer's own hit points."""

from __future__ import annotations

from array import array
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from matplotlib import pyplot as plt

from depth_estimation_ros.core.mount import Mount
from depth_estimation_ros.core.points import cloud_of
from depth_estimation_ros.core.scan import Band, ranges_of
from depth_estimation_ros.ros import codec
from depth_estimation_ros.tools.demo_picture import _geometry, _maps, _scans, preview_picture
from depth_estimation_ros.tools.geometry_picture import (
    draw_floor,
    draw_heights,
    draw_scans,
    level_points,
)
from depth_estimation_ros.tools.received import KeptMoment, Received
from test.core.rendered import box, camera_at, in_level_frame, room, view

SEEN = view(room(box(4.0, 3.2, 0.5, 0.4)), camera_at(1.0, 3.0, yaw=0.2, pitch=-0.2, roll=0.04))
MOUNT = Mount(1.2, -0.2, 0.04)
STRIDE = 4
DEPTH = SEEN.depth.numpy()


def moment(**changed: object) -> KeptMoment:
    """What the recorder keeps of a node that sees the truth."""
    cloud = cloud_of(DEPTH, SEEN.pinhole, stride=STRIDE, clearing=0.0, voxel=0.0)
    ranges, first, step = ranges_of(DEPTH, SEEN.pinhole, MOUNT, Band(0.1, 2.0, 0.01))
    fx, fy, cx, cy = (getattr(SEEN.pinhole, name) for name in ('fx', 'fy', 'cx', 'cy'))
    height, width = DEPTH.shape
    image = np.full((height, width, 3), (10, 20, 30), np.uint8)
    whole = {
        'image': codec.encode(image, 'rgb8', None), 'depth': DEPTH[::4, ::4],
        'truth': DEPTH[::4, ::4],
        'info': SimpleNamespace(width=width, height=height,
                                p=[fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0]),
        'points': SimpleNamespace(data=cloud.tobytes(), point_step=16, height=cloud.shape[0],
                                  width=cloud.shape[1]),
        'scan': SimpleNamespace(ranges=array('f', ranges.tobytes()), angle_min=first,
                                angle_increment=step)}
    return KeptMoment(**{**whole, **changed})  # type: ignore[arg-type]


def titles(one: KeptMoment, mount: Mount | None) -> list[str]:
    return [title for title, _, _ in (*_maps(one), *_geometry(one, mount))]


def test_points_are_turned_to_where_the_camera_saw_them():
    found = level_points(moment().points, MOUNT)
    true = in_level_frame(SEEN.hits, SEEN.camera)[:, ::STRIDE, ::STRIDE].flatten(1).T
    assert np.abs(found - true.numpy()).max() < 1e-4


def test_the_scan_of_the_thinned_truth_is_that_of_the_whole():
    (_, _, angles, ranges), (_, _, thin_angles, thin_ranges) = _scans(moment(), MOUNT)
    assert len(ranges) > 3 * len(thin_ranges)
    nearest = np.abs(angles[:, None] - thin_angles).argmin(0)
    difference = np.abs(ranges[nearest] / thin_ranges - 1)
    assert np.nanmedian(difference) < 0.01
    assert np.isfinite(thin_ranges).mean() > 0.7


def test_a_plan_has_the_camera_at_its_foot_and_left_at_the_left():
    axis = plt.figure().gca()
    draw_floor(axis, 5.0, 0.5)
    draw_heights(axis, np.array([[2.0, 0.5, 0.3], [3.0, -1.0, -1.2], [2.0, 0.0, 1.9]]), 1.2)
    low, high = (list(place) for place in axis.collections[0].get_offsets())
    assert (low, high) == ([1.0, 3.0], [-0.5, 2.0])  # the third is higher than a door
    draw_scans(axis, [('scan', 'blue', np.array([0.0, np.pi / 2]), np.array([4.0, 1.0]))])
    np.testing.assert_allclose(axis.collections[1].get_offsets(), [[0, 4], [-1, 0]], atol=1e-9)
    plt.close('all')


@pytest.mark.parametrize(('lacks', 'mount', 'below'), [
    ([], MOUNT, ['points', 'points from above', 'scan']),
    (['truth'], MOUNT, ['points', 'points from above', 'scan']),
    (['scan'], MOUNT, ['points', 'points from above']),
    (['scan'], None, ['points']),
    (['points', 'scan'], None, []), (['points', 'scan', 'truth', 'info'], None, [])])
def test_what_came_is_shown_and_nothing_else(tmp_path: Path, lacks, mount, below):
    one = moment(**dict.fromkeys(lacks))
    above = ['image', 'depth'] + ['ground truth'] * ('truth' not in lacks)
    assert titles(one, mount) == above + below
    received = Received()
    received.moments[5] = one
    preview_picture(received, tmp_path / 'preview.png', mount)
    drawn = cv2.imread(str(tmp_path / 'preview.png'))
    assert drawn is not None
    height, width, _ = drawn.shape
    assert (height > 0.45 * width) == (len(above + below) > 3)


def test_the_moment_is_the_fullest_and_then_the_one_with_most_in_it(tmp_path: Path, monkeypatch):
    drawn: list[KeptMoment] = []

    def note(one: KeptMoment) -> list:
        drawn.append(one)
        return []

    monkeypatch.setattr('depth_estimation_ros.tools.demo_picture._maps', note)
    monkeypatch.setattr('depth_estimation_ros.tools.demo_picture._draw', lambda *_: None)
    flat = np.full_like(DEPTH[::4, ::4], 2.0)
    received = Received()
    received.moments |= {1: moment(scan=None), 2: moment(depth=flat), 3: moment(),
                         4: moment(depth=flat), 5: moment(depth=None)}
    preview_picture(received, tmp_path / 'preview.png', MOUNT)
    assert drawn == [received.moments[3]]


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_depth_without_a_distance_is_drawn_as_none(tmp_path: Path, value):
    one = moment(depth=np.full_like(DEPTH[::4, ::4], value), points=SimpleNamespace(
        data=np.full((4, 4), np.nan, np.float32).tobytes(), point_step=16, height=2, width=2))
    received = Received()
    received.moments[5] = one
    preview_picture(received, tmp_path / 'preview.png', MOUNT)
    assert (tmp_path / 'preview.png').stat().st_size > 1000
    received.moments[5].truth = None
    preview_picture(received, tmp_path / 'preview.png', MOUNT)
