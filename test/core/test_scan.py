# SPDX-License-Identifier: Apache-2.0
"""Scans against the renderer's own hit points, in empty and in furnished rooms."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from depth_estimation_ros.core import scan as scan_module
from depth_estimation_ros.core.mount import Mount
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.scan import SHIVER, Band, Scan, Scanner, scan_from_depth
from test.core.rendered import (
    View,
    box,
    camera_at,
    furnished_view,
    in_level_frame,
    room,
    true_ranges,
    view,
)

BAND = Band(0.04, 1.8, 0.01)
PITCHES = (-0.35, -0.2, -0.1, 0.0)
HALL = (30.0, 20.0, 4.0)
SEEN = 0.75
"""The share of rays that see a wall; at the sides a camera that looks down sees floor only."""


def mount_of(seen: View) -> Mount:
    return Mount(seen.camera.position[2], seen.camera.pitch, seen.camera.roll)


def scan_of(seen: View, band: Band = BAND) -> Scan:
    return scan_from_depth(seen.depth, seen.pinhole, mount_of(seen), band)


def angles(scan: Scan) -> Tensor:
    """As a subscriber computes them from the message's float32 fields."""
    index = np.arange(len(scan.ranges), dtype=np.float64)
    return torch.from_numpy(np.float32(scan.angle_min) + index * np.float32(scan.angle_increment))


def share_of_hits(scan: Scan, seen: View) -> float:
    """Check each finite range against the hit points around it; return the share of them."""
    x, y, z = in_level_frame(seen.hits, seen.camera).flatten(1)
    height = z + seen.camera.position[2]
    distance, bearing = torch.hypot(x, y), torch.atan2(y, x)
    standing = (height > BAND.min_height + BAND.slack * distance) & (height < BAND.max_height)
    pixel = 1.0 / seen.pinhole.fx
    checked = 0
    for angle, found in zip(angles(scan).tolist(), scan.ranges.tolist(), strict=True):
        if math.isfinite(found):
            off = (bearing - angle).abs()
            assert (distance[standing & (off < pixel)] - found).abs().min() < 1e-4
            assert (distance[standing & (off < 0.2 * pixel)] > found - 1e-4).all()
            checked += 1
    return checked / len(scan.ranges)


@pytest.mark.parametrize(('pitch', 'roll'), [(-0.35, 0.0), (-0.2, 0.04), (0.0, 0.0), (0.1, -0.1)])
def test_every_range_is_that_of_a_hit_point(pitch: float, roll: float) -> None:
    seen = view(room(box(4.0, 3.2, 0.5, 0.4), box(3.0, 2.0, 0.2)),
                camera_at(1.0, 3.0, yaw=0.2, pitch=pitch, roll=roll))
    assert share_of_hits(scan_of(seen), seen) > SEEN


@pytest.mark.parametrize('pitch', PITCHES)
def test_the_median_range_in_furnished_rooms_is_right(pitch: float) -> None:
    errors = []
    for index in range(4):
        seen = furnished_view(index, pitch)
        scan = scan_of(seen)
        ranges, bearings = scan.ranges[::5], angles(scan)[::5]
        truth = true_ranges(seen.world, seen.camera, bearings, 0.08, BAND.max_height)
        both = ranges.isfinite() & truth.isfinite()
        assert both.float().mean() > SEEN
        errors.append((ranges[both] / truth[both] - 1).abs())
    assert torch.cat(errors).median() <= 0.01


@pytest.mark.parametrize('size', [(120, 160), (240, 320)])
@pytest.mark.parametrize('height', [0.3, 1.2])
@pytest.mark.parametrize('pitch', PITCHES)
def test_an_empty_floor_has_no_phantom(pitch: float, height: float,
                                       size: tuple[int, int]) -> None:
    seen = view(room(size=HALL), camera_at(2.0, 10.0, height, pitch=pitch, size=size), size)
    ranges = scan_of(seen).ranges
    assert not (ranges < 4.0).any()
    assert (ranges > 9.0).float().mean() > SEEN


@pytest.mark.parametrize('error', [-0.01, 0.01])
def test_a_tilt_known_to_half_a_degree_makes_no_phantom(error: float) -> None:
    seen = view(room(size=HALL), camera_at(2.0, 10.0, pitch=-0.2))
    mount = replace(mount_of(seen), pitch=-0.2 + error)
    tolerant = scan_from_depth(seen.depth, seen.pinhole, mount, replace(BAND, slack=0.015))
    assert not (tolerant.ranges < 4.0).any()
    strict = scan_from_depth(seen.depth, seen.pinhole, mount, Band(0.005, 1.8))
    assert (strict.ranges < 4.0).any() == (error > 0)


@pytest.mark.parametrize('side', [0.1, 0.2, 0.5])
@pytest.mark.parametrize('distance', [1.5, 2.5, 4.0])
@pytest.mark.parametrize('pitch', PITCHES)
def test_every_box_is_seen(pitch: float, distance: float, side: float) -> None:
    for bearing in (-0.35, 0.0, 0.3):
        x, y = 2.0 + distance * math.cos(bearing), 10.0 + distance * math.sin(bearing)
        seen = view(room(box(x, y, side), size=HALL), camera_at(2.0, 10.0, 0.6, pitch=pitch))
        scan = scan_of(seen)
        there = (angles(scan) - bearing).abs() < 0.25 * side / distance
        truth = true_ranges(seen.world, seen.camera, angles(scan)[there], 0.05, BAND.max_height)
        assert there.sum() >= 2
        # the top edge, where only it clears the slack, lies a few pixels behind the front
        assert ((scan.ranges[there] - truth).abs() < 0.02 * distance + 0.25 * side).all()


def test_what_hangs_above_the_band_is_no_obstacle() -> None:
    lamp = replace(box(6.0, 10.0, 0.4), centre=(6.0, 10.0, 2.3))
    seen = view(room(lamp, size=HALL), camera_at(2.0, 10.0, pitch=0.0))
    straight = angles(scan_of(seen)).abs() < 0.04
    assert (scan_of(seen).ranges[straight] > 20).all()
    assert (scan_of(seen, replace(BAND, max_height=2.2)).ranges[straight] < 4.3).all()


def flat(depth: Tensor, pitch: float = 0.0, band: Band = BAND) -> Scan:
    rows, columns = depth.shape
    return scan_from_depth(depth, Pinhole(columns, columns, (columns - 1) / 2, (rows - 1) / 2),
                           Mount(1.0, pitch), band)


def test_nothing_standing_is_inf_and_unknown_is_nan() -> None:
    depth = torch.full((20, 30), torch.inf)
    assert flat(depth).ranges.isposinf().all()
    depth[9, 20:] = torch.nan
    ranges = flat(depth).ranges  # counter-clockwise: the image's right comes first
    assert ranges[0].isnan() and ranges[-1].isposinf()
    assert flat(torch.full((20, 30), torch.nan)).ranges.isnan().all()


def test_what_is_too_near_to_be_measured_hides_what_stands_behind() -> None:
    depth = torch.full((20, 30), torch.inf)
    depth[:10] = 3.0  # a wall above a box right before the lens
    depth[12:, 20:] = -torch.inf
    ranges = flat(depth).ranges  # counter-clockwise: the image's right comes first
    assert ranges[0].isneginf() and ranges[-1] == pytest.approx(3.3, abs=0.1)
    depth[12:, 20:] = torch.inf
    depth[19, 20:] = -torch.inf  # of 20 rows one: noise
    assert flat(depth).ranges[0] == pytest.approx(3.3, abs=0.1)
    depth[12:, 20:] = -torch.inf
    overhead = flat(depth, band=Band(0.04, 0.9)).ranges  # the camera stands above all obstacles
    assert not overhead.isneginf().any() and overhead[0].isnan()


def test_a_known_obstacle_is_seen_beside_unknown_pixels() -> None:
    depth = torch.full((20, 30), torch.nan)
    depth[10, :] = 3.0
    assert torch.allclose(flat(depth).ranges.min(), torch.tensor(3.0), rtol=1e-3)
    assert flat(depth).ranges.isfinite().all()


def test_a_scanner_makes_its_table_anew_only_for_what_changes_it(
        monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Mount] = []
    build = scan_module._grid

    def recorded(camera: Pinhole, mount: Mount, *rest: Any) -> Any:
        made.append(mount)
        return build(camera, mount, *rest)

    monkeypatch.setattr(scan_module, '_grid', recorded)
    seen, scanner = view(room(box(4.0, 3.0, 0.5)), camera_at(1.0, 3.0, pitch=-0.1)), Scanner()
    at = mount_of(seen)
    shivering = replace(at, pitch=at.pitch + 0.9 * SHIVER, roll=at.roll - 0.9 * SHIVER)
    first, again = (scanner(seen.depth, seen.pinhole, mount, BAND) for mount in (at, shivering))
    assert made == [at]
    torch.testing.assert_close(first.ranges, again.ranges, rtol=0, atol=0, equal_nan=True)
    for changed in (replace(at, height=at.height + 0.3), replace(at, pitch=at.pitch + 0.2)):
        for depth in (seen.depth, seen.depth[::2]):
            ranges = scanner(depth, seen.pinhole, changed, BAND).ranges
            fresh = scan_from_depth(depth, seen.pinhole, changed, BAND).ranges
            torch.testing.assert_close(ranges, fresh, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize('sway', [-0.09, 0.002, 0.09])
def test_a_scan_keeps_its_rays_while_the_robot_sways(sway: float) -> None:
    scanner, furnished = Scanner(), room(box(4.0, 3.0, 0.5))
    before, after = (view(furnished, camera_at(1.0, 3.0, pitch=pitch))
                     for pitch in (-0.1, -0.1 + sway))
    first, swayed = (scanner(seen.depth, seen.pinhole, mount_of(seen), BAND)
                     for seen in (before, after))
    assert (len(first.ranges), first.angle_min, first.angle_increment) == (
        len(swayed.ranges), swayed.angle_min, swayed.angle_increment)
    assert share_of_hits(swayed, after) > SEEN


def test_a_head_that_looks_elsewhere_has_other_rays() -> None:
    scanner, pictures = Scanner(), [
        view(room(), camera_at(1.0, 3.0, pitch=pitch)) for pitch in (0.0, -0.3)]
    scans = [scanner(seen.depth, seen.pinhole, mount_of(seen), BAND) for seen in pictures]
    torch.testing.assert_close(scans[1].ranges, scan_of(pictures[1]).ranges, rtol=0, atol=0,
                               equal_nan=True)
    assert scans[1].angle_min < scans[0].angle_min


def test_a_camera_that_sees_no_horizon_knows_of_no_free_way() -> None:
    depth = torch.full((20, 30), torch.inf)
    assert flat(depth, pitch=-0.2).ranges.isposinf().any()
    assert flat(depth, pitch=-0.8).ranges.isnan().all()


def test_an_unknown_pixel_concerns_its_own_direction_only() -> None:
    depth = torch.full((400, 600), torch.inf)
    before = flat(depth, pitch=-0.2).ranges
    depth[0, -1] = torch.nan  # the corner, which a tilted camera sees nearer to the middle
    after = flat(depth, pitch=-0.2).ranges
    assert 1 <= int((after.isnan() & ~before.isnan()).sum()) <= 2


def test_what_lies_behind_is_not_shown_ahead() -> None:
    depth = torch.full((20, 30), torch.nan)
    depth[-1] = 0.5  # looks down and backwards, and ends at half the camera's height
    assert flat(depth, pitch=-1.5).ranges.isnan().all()
    depth[0] = 0.5
    assert flat(depth, pitch=-1.5).ranges.isfinite().any()


def test_angles_are_exact_and_span_the_image() -> None:
    seen = view(room(), camera_at(1.0, 3.0, pitch=0.0))
    scan = scan_of(seen)
    for value in (scan.angle_min, scan.angle_increment):
        assert value == float(np.float32(value))
    k, columns = seen.pinhole, seen.depth.shape[1]
    assert scan.angle_min == pytest.approx(math.atan((k.cx - columns + 1) / k.fx), abs=1e-6)
    last = float(angles(scan)[-1])
    assert math.atan(k.cx / k.fx) <= last < math.atan(k.cx / k.fx) + scan.angle_increment


def test_no_column_is_skipped() -> None:
    for column in range(31):
        depth = torch.full((9, 31), torch.inf)
        depth[:, column] = 2.0
        ranges = flat(depth).ranges
        assert ranges.isfinite().any(), column


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(-1.2, 0.6), st.floats(-0.3, 0.3),
       st.integers(0, 99))
def test_any_size_and_tilt_gives_ranges_that_were_there(
        rows: int, columns: int, pitch: float, roll: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.3, 9, (rows, columns)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = rng.choice([np.nan, np.inf, -np.inf])
    camera = Pinhole(20.0, 21.0, columns / 2, rows / 2)
    scan = scan_from_depth(torch.from_numpy(depth), camera, Mount(1.0, pitch, roll), BAND)
    assert scan.ranges.dtype == torch.float32 and scan.ranges.ndim == 1
    found = scan.ranges[scan.ranges.isfinite()]
    v, u = np.mgrid[:rows, :columns]
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    level = math.cos(roll) * y + math.sin(roll) * x
    forward = math.cos(pitch) + math.sin(pitch) * level
    left = math.sin(roll) * y - math.cos(roll) * x
    distances = (depth * np.hypot(forward, left))[np.isfinite(depth)]
    for distance in found.tolist():
        assert np.abs(distances - distance).min() < 1e-4
