# SPDX-License-Identifier: Apache-2.0
"""Steady where nothing changes, at once where something does, and never across a cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.rigid import IDENTITY, Rigid
from depth_estimation_ros.core.shaping.change import BLOCK, block_means, changed_blocks
from depth_estimation_ros.core.shaping.temporal import GAP, Moment, TemporalFilter
from test.core.rendered import box, camera_at, room, view
from training.steadiness.drives import pose

SHAPE = (96, 128)
LENS = Pinhole(100.0, 100.0, 63.5, 47.5)
MEMORY, GATE = 16, 0.07
RNG = np.random.default_rng(0)
BLOCKS = RNG.integers(60, 190, (12, 16, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)
FLOOR = (3 / torch.linspace(0.6, 1.4, SHAPE[0]))[:, None].expand(SHAPE).contiguous()


def picture(noise: float = 0.0, levels: Any = BLOCKS) -> Any:
    """An image with texture, and a sensor's noise."""
    return np.clip(levels + RNG.normal(0, noise, levels.shape), 0, 255).astype(np.uint8)


def moment(index: float, **changes: Any) -> Moment:
    return replace(Moment(index / 10, picture(), LENS), **changes)


def noisy(share: float = 0.01) -> Tensor:
    return FLOOR * (1 + share * torch.from_numpy(RNG.normal(0, 1, SHAPE).astype(np.float32)))


class Camera:
    """A filter that has seen some frames of one view."""

    def __init__(self, frames: int = 3, make: Callable[[], Tensor] = lambda: FLOOR) -> None:
        self.filter, self.count = TemporalFilter(), 0
        for _ in range(frames):
            self.see(make())

    def see(self, depth: Tensor, **changes: Any) -> Tensor:
        found = self.filter(depth, moment(self.count, **changes), MEMORY, GATE)
        self.count += 1
        return found


def test_noise_goes_to_what_a_mean_of_so_many_frames_leaves() -> None:
    camera = Camera(0)
    found = torch.stack([camera.see(noisy(), image=picture(5.0)) for _ in range(60)])[20:]
    flicker = float((found / FLOOR).log().std(0).mean()) / 0.01
    assert 0.1 < flicker < 0.3  # a gain of 1/16 leaves sqrt(1/31) = 0.18
    assert float((found / FLOOR - 1).mean().abs()) < 1e-3
    assert camera.filter.steadied > 0.9


def test_the_first_frames_are_their_plain_mean() -> None:
    camera = Camera(1)
    half = FLOOR.clone()
    half[:, :40] /= 1.04
    found = camera.see(half)
    np.testing.assert_allclose(found[:, :40], FLOOR[:, :40] / 1.02, rtol=1e-5)
    np.testing.assert_allclose(found[:, 40:], FLOOR[:, 40:], rtol=1e-5)


def test_a_new_depth_is_taken_at_once_and_not_mixed() -> None:
    camera = Camera(20, noisy)
    nearer = FLOOR.clone()
    nearer[30:60, 40:80] *= 0.6
    found = camera.see(nearer)
    np.testing.assert_allclose(found[30:60, 40:80], nearer[30:60, 40:80], rtol=2e-3)
    nearer[30:60, 40:80] /= 1.04
    found = camera.see(nearer)[30:60, 40:80]  # the mean begins with these two
    np.testing.assert_allclose(found, nearer[30:60, 40:80] * 1.02, rtol=3e-3)
    found = camera.see(FLOOR)  # and back
    np.testing.assert_allclose(found[30:60, 40:80], FLOOR[30:60, 40:80], rtol=2e-3)


def test_another_image_takes_the_new_depth_where_it_hardly_differs() -> None:
    painted = BLOCKS.copy()
    painted[32:64, 48:80] = 255 - painted[32:64, 48:80] // 2
    found = {}
    for name, levels in (('same', BLOCKS), ('other', painted)):
        camera = Camera(20)
        depth = FLOOR.clone()
        depth[32:64, 48:80] *= 0.96
        found[name] = camera.see(depth, image=picture(levels=levels))[32:64, 48:80]
    np.testing.assert_allclose(found['other'], 0.96 * FLOOR[32:64, 48:80], rtol=1e-5)
    assert (found['same'] > 0.99 * FLOOR[32:64, 48:80]).all()


def test_a_bare_room_with_a_picture_on_the_wall_tells_that_the_camera_moves() -> None:
    hung = np.full(BLOCKS.shape, 120)
    hung[40:64, 48:72] = BLOCKS[40:64, 48:72]
    for shift, moved in ((0, False), (5, True)):
        camera = TemporalFilter()
        for index, levels in enumerate((hung, np.roll(hung, shift, 1))):
            camera(FLOOR, moment(index, image=picture(levels=levels)), MEMORY, GATE)
        assert (float(camera.steadied) == 0.0) is moved
        for index in range(2, 30):  # it stands again, which takes a while to believe
            camera(FLOOR, moment(index, image=picture(levels=levels)), MEMORY, GATE)
            assert index > 3 or (float(camera.steadied) == 0.0) is moved
        assert camera.steadied > 0.9


def test_exposure_is_no_change_and_a_bare_wall_tells_nothing() -> None:
    device = torch.device('cpu')
    means = block_means(picture(), device)
    changed, share = changed_blocks(means + 20, means, warped=False)
    assert not changed.any() and not share
    _, share = changed_blocks(torch.full((9, 9), 90.0), torch.full((9, 9), 90.0), warped=False)
    assert share == 1.0
    assert block_means(np.zeros((BLOCK + 1, 3, 3), np.uint8), device).shape == (2, 1)


def test_what_is_no_distance_stays_and_spreads_nowhere() -> None:
    camera = Camera(5)
    depth = FLOOR.clone()
    odd = {(10, 10): torch.nan, (20, 20): torch.inf, (30, 30): -torch.inf, (40, 40): 0.0}
    for place, value in odd.items():
        depth[place] = value
    found = camera.see(depth)
    for place in odd:
        torch.testing.assert_close(found[place], depth[place], equal_nan=True)
        depth[place] = FLOOR[place]
    torch.testing.assert_close(found.where(found.isfinite() & (found > 0), FLOOR), FLOOR)
    found = camera.see(depth * 1.0)
    torch.testing.assert_close(found, FLOOR)  # known again, from this frame on
    assert not (depth != FLOOR).any()


def test_a_frame_without_any_distance_is_served() -> None:
    camera = Camera(2)
    nothing = torch.full(SHAPE, torch.nan)
    assert camera.see(nothing).isnan().all()
    torch.testing.assert_close(camera.see(FLOOR), FLOOR)


OTHER = Pinhole(110.0, 110.0, 63.5, 47.5)


@pytest.mark.parametrize('changes', [
    {'stamp': 1.9}, {'stamp': 1.5}, {'stamp': -4.0}, {'stamp': 1.9 + GAP + 0.1}, {'lens': OTHER},
    {'lens': None}, {'source': 'another model'}, {'image': np.roll(picture(), 12, 1)},
], ids=['the same stamp', 'earlier', 'before the epoch', 'gap', 'zoom', 'uncalibrated', 'source',
        'moved'])
def test_a_frame_that_cannot_follow_is_given_as_it_is(changes: Any) -> None:
    camera, depth = Camera(20), FLOOR * 1.01
    torch.testing.assert_close(camera.see(depth, **changes), depth, rtol=0, atol=0)
    assert camera.filter.steadied == 0.0


def test_a_frame_that_follows_is_not() -> None:
    camera, depth = Camera(20), FLOOR * 1.01
    assert (camera.see(depth, stamp=1.9 + GAP) < 1.002 * FLOOR).all()
    camera.filter.reset()
    torch.testing.assert_close(camera.see(depth, stamp=4.0), depth, rtol=0, atol=0)


@pytest.mark.parametrize('changes', [
    {'stamp': -40.0}, {'stamp': 90.0}, {'stamp': 2.1, 'source': 'another model'}])
def test_a_camera_that_moved_before_a_jump_is_steadied_at_once_where_it_stands(
        changes: Any) -> None:
    camera = Camera(20)
    camera.see(FLOOR, image=np.roll(picture(), 12, 1))
    camera.see(FLOOR, **changes)
    camera.see(FLOOR, **{**changes, 'stamp': changes['stamp'] + 0.1})
    assert camera.filter.steadied > 0.9


@pytest.mark.parametrize('other', [
    FLOOR[:48], FLOOR.flip(0).contiguous(), 1.3 * FLOOR, 0.1 * FLOOR],
    ids=['size', 'cut', 'another scale', "another domain's"])
def test_other_depth_is_given_as_it_is(other: Tensor) -> None:
    camera = Camera(20)
    found = camera.see(other, image=picture()[:len(other)])
    torch.testing.assert_close(found, other, rtol=0, atol=0)


def test_a_scale_that_wobbles_is_held_for_new_pixels_too() -> None:
    camera, scales = Camera(20), []
    for index in range(20):
        depth = FLOOR * (1.05 if index % 2 else 0.95)
        depth[:, 8 * (index % 8):8 * (index % 8) + 8] *= 0.5  # an edge that goes by
        found = camera.see(depth)
        assert float(found.isfinite().float().mean()) == 1.0
        scales.append(float((found / FLOOR).median()))
        new = found[:, 8 * (index % 8):8 * (index % 8) + 8] / FLOOR[:, :8]
        assert float((new / 0.5 - scales[-1]).abs().max()) < 0.01
    assert np.ptp(scales) < 0.02


WORLD = room(box(5.0, 3.0, 0.8), box(6.5, 4.5, 1.2, 0.4))
GREY = np.full((240, 320, 3), 128, np.uint8)


CHECKS = np.kron(np.indices((15, 20)).sum(0) % 2 * 120 + 60, np.ones((16, 16)))
TEXTURED = CHECKS.astype(np.uint8)[..., None].repeat(3, 2)


def driven(odometry: bool) -> tuple[Tensor, Tensor, float]:
    """Relative errors of the last of some noisy views on a way, plain and filtered."""
    steady, rng = TemporalFilter(), torch.Generator().manual_seed(0)
    for index in range(10):
        camera = camera_at(1.0 + 0.03 * index, 3.0, yaw=0.02 * index, pitch=-0.2)
        seen = view(WORLD, camera)
        depth = seen.depth * (1 + 0.01 * torch.randn(seen.depth.shape, generator=rng))
        image, where = (GREY, pose(camera)) if odometry else (TEXTURED, None)
        found = steady(depth, Moment(index / 15, image, seen.pinhole, where), MEMORY, GATE)
    return depth / seen.depth - 1, found / seen.depth - 1, float(steady.steadied)


def test_a_known_motion_carries_depth_along() -> None:
    plain, filtered, steadied = driven(odometry=True)
    assert steadied > 0.85
    assert float(filtered.abs().mean()) < 0.6 * float(plain.abs().mean())
    assert float((filtered.abs() > 0.05).float().mean()) < 0.002  # no edge is dragged along


def test_what_comes_into_view_is_new() -> None:
    steady, wall = TemporalFilter(), torch.full(SHAPE, 2.0)
    image = np.full((*SHAPE, 3), 128, np.uint8)
    steady(wall, Moment(0.0, image, LENS, IDENTITY), MEMORY, GATE)
    there = Rigid(np.eye(3), np.array([0.4, 0, 0]))  # by 20 pixels of a wall 2 m away
    wall[:, 100:] = 2.06
    found = steady(wall, Moment(0.1, image, LENS, there), MEMORY, GATE)
    torch.testing.assert_close(found[:, 109:], wall[:, 109:])
    np.testing.assert_allclose(found[:, 100:107], 2.03, rtol=1e-3)
    np.testing.assert_allclose(found[:, :100], 2.0, rtol=1e-5)


def test_without_it_the_gate_still_keeps_edges() -> None:
    _, filtered, steadied = driven(odometry=False)  # as if the image said that it stands
    assert float(filtered.abs().max()) < 2 * GATE and steadied > 0.5
