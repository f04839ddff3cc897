# SPDX-License-Identifier: Apache-2.0
"""Pixels in another view of the same room: against rays cast from there."""

import torch

from depth_estimation_ros.core.motion import is_inside, sample, seen_from
from depth_estimation_ros.core.rigid import Rigid
from test.core.rendered import box, camera_at, room, view
from training.steadiness.drives import pose
from training.world import Camera

WORLD = room(box(5.0, 3.0, 0.8), box(6.5, 4.5, 1.2, 0.4))
FIRST, SECOND = camera_at(1.0, 3.0), camera_at(1.2, 3.1, yaw=0.08, pitch=-0.17, roll=0.03)


def motion(first: Camera, second: Camera) -> Rigid:
    return pose(second).inverse() @ pose(first)


def test_true_depth_lands_on_true_depth() -> None:
    before, now = view(WORLD, FIRST), view(WORLD, SECOND)
    columns, rows, ratio = seen_from(
        now.depth.reciprocal(), motion(SECOND, FIRST), now.pinhole)
    warped = sample(before.depth.reciprocal()[None], columns, rows)[0] * ratio
    inside = is_inside(columns, rows, (240, 320))
    error = (warped * now.depth - 1).abs()[inside]
    assert inside.float().mean() > 0.85
    # planes are exact between pixels; edges, and what was hidden, are not
    assert error.median() < 1e-5 and (error < 1e-3).float().mean() > 0.93


def test_what_is_infinitely_far_only_turns() -> None:
    lens = view(WORLD, FIRST).pinhole
    turned = camera_at(3.0, 1.0, yaw=0.1, pitch=-0.2)
    columns, rows, ratio = seen_from(torch.zeros(240, 320), motion(FIRST, turned), lens)
    still, other, same = seen_from(
        torch.zeros(240, 320), motion(camera_at(3.0, 1.0), turned), lens)
    torch.testing.assert_close((columns, rows, ratio), (still, other, same))
    assert (columns - torch.arange(320.0)).mean() > 20  # to the left: what is seen goes right


def test_what_is_behind_the_other_camera_is_told() -> None:
    near = torch.full((240, 320), 1 / 0.5)
    *_, ratio = seen_from(near, motion(camera_at(1.0, 3.0, pitch=0.0), camera_at(
        3.0, 3.0, pitch=0.0)), view(WORLD, FIRST).pinhole)
    assert (ratio < 0).all()
