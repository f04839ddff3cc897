# SPDX-License-Identifier: Apache-2.0
"""A covered lens: what stays bare while the robot turns; never what it turns away from."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.monitor.cover import VIEWS, Coverage, Tiles, tiles_of
from depth_estimation_ros.core.monitor.look import look_at
from depth_estimation_ros.ros.monitor_checks import MonitorSettings
from training.monitor.camera import Settings, photograph
from training.monitor.faults import covered
from training.monitor.rooms import Radiance


def shares(lights: list[Radiance], camera: Settings, share: float) -> list[float]:
    """Return what is told of each view, a fifth of a second after the last."""
    coverage = Coverage()
    return [coverage.observe(look_at(photograph(
        covered(light, share, np.random.default_rng(5)) if share else light,
        camera.frame(number))).tiles, 0.2 * number) for number, light in enumerate(lights)]


def test_a_free_lens_is_not_covered(turning: list[Radiance], camera: Settings) -> None:
    assert max(shares(turning, camera, 0.0)) < 0.1


@pytest.mark.parametrize('share', [0.5, 0.7, 0.9])
def test_what_lies_on_the_lens_stays(turning: list[Radiance], camera: Settings,
                                     share: float) -> None:
    found = shares(turning, camera, share)
    assert found[0] == 0.0 and MonitorSettings().covered < found[-1] < share + 0.1


def test_a_picture_that_is_bare_all_over_needs_time_only(
        rooms: list[Radiance], camera: Settings) -> None:
    found = shares(rooms[:1] * 17, camera, 1.0)
    assert max(found[:15]) == 0.0 and min(found[15:]) > 0.95


def test_a_wall_that_fills_the_view_for_a_moment_is_no_cover(
        rooms: list[Radiance], camera: Settings) -> None:
    coverage, wall = Coverage(), np.full((120, 160, 3), 90, np.uint8)
    told = [coverage.observe(look_at(image).tiles, second) for second, image in enumerate(
        [wall, wall, photograph(rooms[0], camera), wall, wall, wall])]
    assert told == [0.0] * 6


def test_a_robot_that_stands_tells_nothing(rooms: list[Radiance], camera: Settings) -> None:
    assert max(shares([rooms[0]] * (2 * VIEWS), camera, 0.5)) == 0.0


def test_a_change_of_size_begins_anew(turning: list[Radiance], camera: Settings) -> None:
    coverage = Coverage()
    for number, light in enumerate(turning):
        image = photograph(covered(light, 0.7, np.random.default_rng(5)), camera.frame(number))
        before = coverage.observe(look_at(image).tiles, 0.2 * number)
    assert before > 0.5 and coverage.observe(look_at(image[:, :80]).tiles, 10.0) == 0.0


def test_a_lens_that_is_wiped_while_the_robot_stands_is_free() -> None:
    """Though what was hidden is as bright as what hid it, so that this is no other view."""
    coverage, half = Coverage(), np.arange(96).reshape(8, 12) % 2 > 0
    for number in range(VIEWS):
        luma = np.full(half.shape, 1.0 + 0.2 * (number % 2), np.float32)
        covered_share = coverage.observe(Tiles(half, luma), 0.2 * number)
    assert covered_share == 0.5
    assert coverage.observe(Tiles(np.zeros_like(half), luma), 10.0) == 0.0
    assert coverage.observe(Tiles(half, luma), 10.2) == 0.5


def test_a_shade_is_no_texture_and_a_line_is() -> None:
    shade = (np.add.outer(np.arange(120), np.arange(160)) // 2).astype(np.uint8)
    assert tiles_of(shade).bare.all()
    shade[:, 50:52] += 40
    assert tiles_of(shade).bare.mean(0).tolist() == [1, 1, 0, 1, 1, 1, 1, 1]
