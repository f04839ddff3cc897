# SPDX-License-Identifier: Apache-2.0
"""Figures of steadiness against numbers that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.steadiness import (
    Maps,
    Video,
    edge_lag,
    flicker,
    surface_lag,
    temporal_alignment_error,
)
from test.core.rendered import box, camera_at, room, view
from training.steadiness.drives import pose

FRAMES = range(12)


def video(moves: bool) -> Video:
    """A room without anything that moves, from a camera that stands or drives."""
    world = room(box(5.0, 3.0, 0.8))
    cameras = [camera_at(1.0 + 0.03 * moves * index, 3.0, yaw=0.01 * moves * index)
               for index in FRAMES]
    views = [view(world, camera) for camera in cameras]
    depth = np.stack([each.depth.numpy() for each in views])
    return Video(depth, [pose(camera) for camera in cameras], views[0].pinhole,
                 np.ones(depth.shape, bool))


@pytest.fixture(scope='module', params=[False, True], ids=['stands', 'drives'])
def seen(request: pytest.FixtureRequest) -> Video:
    return video(request.param)


def test_truth_is_steady(seen: Video) -> None:
    assert flicker(seen.depth, seen, FRAMES) < 1e-4
    assert temporal_alignment_error(seen.depth, seen, FRAMES) < 0.01  # places are rounded


def test_flicker_is_the_deviation_over_time(seen: Video) -> None:
    wobble = np.where(np.arange(12) % 2, 1.02, 1 / 1.02).astype(np.float32)[:, None, None]
    assert flicker(seen.depth * wobble, seen, FRAMES) == pytest.approx(np.log(1.02), rel=0.05)
    slope = np.linspace(0.9, 1.1, 320, dtype=np.float32)
    assert flicker(video(moves=False).depth * slope, video(moves=False), FRAMES) < 1e-4


def test_tae_is_the_mean_of_both_ways(seen: Video) -> None:
    wobble = np.where(np.arange(12) % 2, 1.1, 1.0).astype(np.float32)[:, None, None]
    error = temporal_alignment_error(seen.depth * wobble, seen, FRAMES[:2])
    assert error == pytest.approx((0.1 / 1.1 + 0.1) / 2, rel=0.03)


def test_a_point_that_is_hidden_is_not_followed() -> None:
    seen = video(moves=False)
    truth, depth = seen.depth.copy(), seen.depth.copy()
    truth[::4, 100:150, 100:150] *= 0.5
    depth[::4, 100:150, 100:150] *= 0.6  # wrong on what hides it alone
    hidden = Video(truth, seen.poses, seen.lens, seen.static)
    assert flicker(depth, hidden, FRAMES[1:]) < 1e-4


def test_what_moves_does_not_count() -> None:
    seen = video(moves=False)
    depth, static = seen.depth.copy(), seen.static.copy()
    depth[::2, 100:150, 100:150] *= 0.5
    assert flicker(depth, seen, FRAMES) > 0.01
    assert temporal_alignment_error(depth, seen, FRAMES) > 0.01
    static[::2, 100:150, 100:150] = False
    masked = Video(seen.depth, seen.poses, seen.lens, static)
    assert flicker(depth, masked, FRAMES) < 1e-4
    assert temporal_alignment_error(depth, masked, FRAMES) < 1e-4


def step_response(kind: str, value: float) -> tuple[Maps, Maps]:
    """An edge that passes pixels one after the other, and what a filter makes of it."""
    time, place = np.arange(16)[:, None, None], np.arange(10)[None, None, :]
    truth = np.where(time > place - 2, 2.0, 4.0) * np.ones((1, 4, 1))
    log, late = np.log(truth), np.log(truth)
    for index in range(1, 16):
        late[index] = log[index - int(value)] if kind == 'delay' else (
            late[index - 1] + value * (log[index] - late[index - 1]))
    return truth.astype(np.float32), np.exp(late).astype(np.float32)


@pytest.mark.parametrize(('kind', 'value', 'frames'), [
    ('delay', 0, 0.0), ('delay', 1, 1.0), ('mean', 0.8, 0.25), ('mean', 0.7, 0.3 / 0.7)])
def test_the_lag_of_an_edge_is_in_frames(kind: str, value: float, frames: float) -> None:
    truth, late = step_response(kind, value)
    assert edge_lag(late, truth, truth, range(16)) == pytest.approx(frames, abs=0.02)


def test_without_an_edge_there_is_no_lag() -> None:
    flat = np.ones((16, 4, 4), np.float32)
    assert edge_lag(flat, flat, flat, range(16)) == 0.0
    assert surface_lag(flat, flat, flat, np.ones(flat.shape, bool), range(16)) == 0.0


def test_the_lag_of_a_surface_is_in_frames() -> None:
    truth = np.exp(-0.01 * np.arange(16, dtype=np.float32))[:, None, None] * np.ones(
        (1, 4, 4), np.float32)
    late = truth * np.float32(np.exp(0.02))  # where it was two frames ago
    moving = np.ones(truth.shape, bool)
    assert surface_lag(late, truth, truth, moving, range(16)) == pytest.approx(2.0, rel=1e-3)
