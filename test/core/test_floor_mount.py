# SPDX-License-Identifier: Apache-2.0
"""The mount that the floor in a camera's own depth shows."""

import numpy as np
import pytest

from depth_estimation_ros.core.floor_mount import ENOUGH, LOOKED_BACK, FloorMount
from depth_estimation_ros.core.mount import Mount, UnknownMountError
from depth_estimation_ros.core.scan import Band, scan_from_depth

from .rendered import camera_at, furnished_view, room, view
from .test_floor import LENS, SHAPE, floor_map

BAND = Band(0.04, 1.8, 0.01)
WALL = np.full(SHAPE, 2.0, np.float32)


def looked(*maps: np.ndarray) -> FloorMount:
    mount = FloorMount()
    for depth in maps:
        mount.look(depth, LENS)
    return mount


@pytest.mark.parametrize('scale', [0.8, 1.0, 1.25])
@pytest.mark.parametrize('pitch', [-0.35, -0.2, -0.1])
def test_depth_of_a_wrong_scale_has_its_floor_where_the_scan_looks(scale: float,
                                                                   pitch: float) -> None:
    seen = view(room(size=(30.0, 20.0, 4.0)), camera_at(2.0, 10.0, pitch=pitch, roll=0.03))
    depth, found = scale * seen.depth, FloorMount()
    for _ in range(ENOUGH):
        found.look(depth.numpy(), seen.pinhole)
    assert found.mount.height == pytest.approx(scale * 1.2, rel=0.01)
    assert (found.mount.pitch, found.mount.roll) == pytest.approx((pitch, 0.03), abs=0.004)
    own = scan_from_depth(depth, seen.pinhole, found.mount, BAND).ranges
    assert not (own < 4.0 * scale).any() and (own > 9.0 * scale).any()
    if scale == 0.8:  # as the tape measures it, the floor would stand in the way
        taped = scan_from_depth(depth, seen.pinhole, Mount(1.2, pitch, 0.03), BAND).ranges
        assert (taped < 4.0).any()


def test_furniture_leaves_the_floor() -> None:
    told = 0
    for seed in range(8):
        seen, found = furnished_view(seed, -0.2), FloorMount()
        for _ in range(ENOUGH):
            found.look(seen.depth.numpy(), seen.pinhole)
        if found.looks[-1] is not None:
            told += 1
            assert found.mount.height == pytest.approx(seen.camera.position[2], rel=0.02)
            assert found.mount.pitch == pytest.approx(-0.2, abs=0.01)
    assert told >= 6


def test_nothing_is_said_before_a_floor_was_seen_often_enough() -> None:
    for maps, said in (((), ''), ((WALL,) * 5, 'not enough floor: .+'),
                       ((floor_map(),) * (ENOUGH - 1), '')):
        with pytest.raises(UnknownMountError, match=f'^{said}$'):
            _ = looked(*maps).mount
    assert looked(*[floor_map()] * ENOUGH).mount.height == pytest.approx(1.2, rel=1e-3)


def test_floors_that_disagree_make_no_mount() -> None:
    with pytest.raises(UnknownMountError, match='disagree'):
        _ = looked(*(floor_map(height=height) for height in (0.8, 1.2, 1.6, 1.0, 1.4))).mount


def test_what_was_found_stands_until_another_floor_is_seen() -> None:
    found = looked(*[floor_map()] * ENOUGH, *[WALL] * LOOKED_BACK)
    assert found.mount.height == pytest.approx(1.2, rel=1e-3)
    for _ in range(ENOUGH):
        found.look(floor_map(height=0.9), LENS)
    assert found.mount.height == pytest.approx(0.9, rel=1e-3)
