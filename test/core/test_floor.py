# SPDX-License-Identifier: Apache-2.0
"""The floor as a yardstick, on planes whose answer is known by hand."""

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.floor import (
    Floor,
    FloorOptions,
    NotEnoughFloorError,
    find_floor,
)
from depth_estimation_ros.core.floor_scale import agree
from depth_estimation_ros.core.pinhole import Pinhole

LENS = Pinhole(130.0, 130.0, 79.5, 59.5)
SHAPE = (120, 160)
PITCH, HEIGHT = math.radians(12.0), 1.2
INVERSE = FloorOptions(PITCH, quantity=Quantity.INVERSE_DEPTH)
SURE = FloorOptions(PITCH, math.radians(0.6))
FAR = 20.0
RNG = np.random.default_rng(3)


def inverse_of_plane(pitch: float, height: float, roll: float = 0.0) -> np.ndarray:
    """Inverse depth of a plane below a camera, negative above its horizon."""
    rows, columns = np.mgrid[:SHAPE[0], :SHAPE[1]]
    down = (math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch), math.sin(pitch))
    return (down[0] * (columns - LENS.cx) / LENS.fx + down[1] * (rows - LENS.cy) / LENS.fy
            + down[2]) / height


def floor_map(pitch: float = PITCH, height: float = HEIGHT, roll: float = 0.0) -> np.ndarray:
    """Depth of an endless floor, with a wall at FAR."""
    return 1 / np.maximum(inverse_of_plane(pitch, height, roll), 1 / FAR)


@pytest.mark.parametrize('scale', [0.5, 1.0, 2.0])
@pytest.mark.parametrize('pitch', [None, PITCH])
def test_the_height_and_tilt_are_those_of_the_plane(scale: float, pitch: float | None) -> None:
    found = find_floor(scale * floor_map(roll=0.03), LENS, FloorOptions(pitch))
    assert found.height == pytest.approx(scale * HEIGHT, rel=1e-3)
    assert (found.pitch, found.roll) == pytest.approx((PITCH, 0.03), abs=1e-3)
    assert found.shift == 0 and found.share > 0.9


def test_the_shift_of_inverse_depth_is_its_value_at_the_horizon() -> None:
    found = find_floor(7 / floor_map() - 3, LENS, INVERSE)
    assert found.shift == pytest.approx(-3, abs=1e-3)
    assert 1 / found.height == pytest.approx(7 / HEIGHT, rel=1e-3)


def test_noise_and_objects_leave_the_height() -> None:
    depth = floor_map() * RNG.lognormal(0, 0.01, SHAPE)
    for column in range(0, 160, 40):
        depth[40:112, column:column + 14] = depth[111, 0]
    found = find_floor(depth, LENS, FloorOptions(PITCH))
    assert found.height == pytest.approx(HEIGHT, rel=0.01)


def test_unknown_pixels_are_left_out() -> None:
    depth = floor_map()
    depth[RNG.random(SHAPE) < 0.5] = 0
    depth[::7], depth[1::7], depth[2::7] = np.nan, np.inf, -np.inf
    assert find_floor(depth, LENS, FloorOptions(PITCH)).height == pytest.approx(HEIGHT, rel=1e-3)


def wall(distance: float = 1.5, slant: float = 0.0) -> np.ndarray:
    columns = np.arange(SHAPE[1]) - LENS.cx
    return np.broadcast_to(distance / (1 + slant * columns / LENS.fx), SHAPE).copy()


def table_over_floor() -> np.ndarray:
    """A table top over most of the lower image, the floor to its right."""
    depth = floor_map()
    depth[60:, :110] = floor_map(height=0.45)[60:, :110]
    return depth


def ramp_ahead(slope: float, start: float) -> np.ndarray:
    """Floor until ``start`` metres, then a ramp that rises, or falls, by ``slope`` degrees."""
    up = math.radians(slope)
    above = HEIGHT * math.cos(up) + start * math.sin(up)
    ramp = 1 / np.maximum(inverse_of_plane(PITCH + up, above), 1 / FAR)
    return np.minimum(floor_map(), ramp) if slope > 0 else np.maximum(floor_map(), ramp)


NO_FLOOR = {
    'a wall': wall(), 'a wall at an angle': wall(slant=0.6), 'a table': table_over_floor(),
    'nothing known': np.full(SHAPE, np.nan), 'all zero': np.zeros(SHAPE),
    'noise': RNG.uniform(0.5, 5, SHAPE), 'the ceiling': np.flipud(floor_map(-PITCH)),
}


@pytest.mark.parametrize('pitch', [None, PITCH])
@pytest.mark.parametrize('view', NO_FLOOR)
def test_what_is_no_floor_is_not_enough_floor(view: str, pitch: float | None) -> None:
    with pytest.raises(NotEnoughFloorError, match=r'^not enough floor: '):
        find_floor(NO_FLOOR[view], LENS, FloorOptions(pitch))


@pytest.mark.parametrize('view', NO_FLOOR)
def test_it_is_none_for_a_relative_model_either(view: str) -> None:
    with np.errstate(divide='ignore'), pytest.raises(NotEnoughFloorError):
        find_floor(5 / NO_FLOOR[view] + 1, LENS, INVERSE)


@pytest.mark.parametrize('slope', [-8.0, -4.0, 4.0, 8.0])
def test_a_ramp_in_the_whole_view_has_the_wrong_tilt(slope: float) -> None:
    ramp = floor_map(PITCH + math.radians(slope))
    with pytest.raises(NotEnoughFloorError, match='tilt'):
        find_floor(ramp, LENS, FloorOptions(PITCH))


@pytest.mark.parametrize(('relative', 'start'), [
    (False, 2.0), (False, 2.5), (False, 3.0), (False, 4.0),
    (True, 2.5), (True, 3.0), (True, 4.0),  # nearer it fills the view: no one could tell
])
@pytest.mark.parametrize('slope', [-8.0, -4.0, 4.0, 8.0])
def test_a_ramp_that_begins_ahead_gives_no_wrong_answer(relative: bool, start: float,
                                                        slope: float) -> None:
    depth = ramp_ahead(slope, start)
    try:
        found = find_floor(5 / depth + 1 if relative else depth, LENS,
                           FloorOptions(PITCH, quantity=(
                               Quantity.INVERSE_DEPTH if relative else Quantity.METRES)))
    except NotEnoughFloorError:
        return
    assert found.height * (5 if relative else 1) == pytest.approx(HEIGHT, rel=0.02)


RAMPS = [(slope, start) for slope in (-8.0, -3.0, -1.5, -1.0, 1.0, 1.5, 3.0, 8.0)
         for start in (2.0, 2.5, 3.0, 4.0, 6.0)]


@pytest.mark.parametrize(('error', 'limit'), [(0.0, 0.01), (-0.3, 0.025), (0.3, 0.025)])
def test_a_ramp_ahead_misleads_no_sure_pitch(error: float, limit: float) -> None:
    options = replace(SURE, pitch=PITCH + math.radians(error))
    heights = []
    for ramp in RAMPS:
        with suppress(NotEnoughFloorError):
            heights.append(find_floor(ramp_ahead(*ramp), LENS, options).height)
    assert len(heights) > 20
    np.testing.assert_allclose(heights, HEIGHT, rtol=limit)


@pytest.mark.parametrize('ramp', [(-8.0, 2.0), (8.0, 2.0), (-3.0, 2.5), (3.0, 2.5), (8.0, 2.5)])
def test_a_sure_pitch_lets_no_relative_ramp_pass(ramp: tuple[float, float]) -> None:
    with pytest.raises(NotEnoughFloorError):
        find_floor(5 / ramp_ahead(*ramp) + 1, LENS, replace(INVERSE, pitch_tolerance=0.01))


@pytest.mark.parametrize('tolerance', [0.002, 0.0175])
def test_a_sure_pitch_is_that_of_a_camera_that_leans_too(tolerance: float) -> None:
    pitch = math.radians(30.0)
    depth = floor_map(pitch, roll=0.096) * RNG.lognormal(0, 0.012, SHAPE)
    options = FloorOptions(pitch, tolerance)
    assert options.bend_limit > FloorOptions(pitch).bend_limit
    found = find_floor(depth, LENS, options)
    assert found.height == pytest.approx(HEIGHT, rel=0.002)
    assert found.pitch == pytest.approx(pitch, abs=0.0007)


@pytest.mark.parametrize('error', [-0.3, 0.0, 0.3])
def test_a_floor_that_a_network_bends_has_the_height_of_a_sure_pitch(error: float) -> None:
    """Depth 2.5 % too near in the image's middle and as much too far at the bottom."""
    tilt = np.linspace(-0.025, 0.025, SHAPE[0] // 2)
    depth = floor_map()
    depth[SHAPE[0] // 2:] *= (1 + tilt)[:, None]
    sure = replace(SURE, pitch=PITCH + math.radians(error))
    free = find_floor(depth, LENS, FloorOptions(PITCH))
    assert abs(free.height / HEIGHT - 1) > 0.045
    assert find_floor(depth, LENS, sure).height == pytest.approx(HEIGHT, rel=0.035)
    flat = find_floor(floor_map(), LENS, sure)  # of which the pitch is known better
    assert flat.height == pytest.approx(HEIGHT, rel=0.001)


def test_a_floor_that_leans_is_none() -> None:
    with pytest.raises(NotEnoughFloorError, match=r'tilt|leans'):
        find_floor(floor_map(roll=0.3), LENS, FloorOptions(PITCH))


@pytest.mark.parametrize(('columns', 'enough'), [(16, False), (40, True)])
def test_too_small_a_floor_is_not_enough(columns: int, enough: bool) -> None:
    depth = RNG.uniform(0.1, 0.6, SHAPE)  # nearer than the floor, and no plane
    depth[:, 50:50 + columns] = floor_map()[:, 50:50 + columns]
    if enough:
        found = find_floor(depth, LENS, FloorOptions(PITCH))
        assert found.height == pytest.approx(HEIGHT, rel=0.01)
    else:
        with pytest.raises(NotEnoughFloorError, match=r'no floor-like plane holds more than 1\d%'):
            find_floor(depth, LENS, FloorOptions(PITCH))


def test_a_relative_model_needs_the_pitch() -> None:
    with pytest.raises(ValueError, match='pitch'):
        find_floor(floor_map(), LENS, FloorOptions(quantity=Quantity.INVERSE_DEPTH))


def floors(heights: list[float], shift: float = 0.0) -> list[Floor]:
    return [Floor(height, shift * number, PITCH, 0.0, 0.5)
            for number, height in enumerate(heights)]


def test_images_agree_on_the_median() -> None:
    found = agree(floors([0.6, 0.606, 0.594, 0.6, 2.0]), 6, HEIGHT)
    assert found.scale == pytest.approx(2.0)
    assert (found.frames, found.looked_at) == (5, 6)
    assert found.spread == pytest.approx(1.4826 * 0.01, rel=0.02)


@pytest.mark.parametrize(('seen', 'looked_at', 'reason'), [
    (floors([1.2] * 4), 4, '4 of 4 images'), (floors([1.2] * 5), 50, '5 of 50 images'),
    (floors([1.0, 1.1, 1.2, 1.3, 1.4]), 5, 'scale spreads'),
    (floors([1.2] * 5, shift=0.02), 5, 'shift in 1/m spreads'), ([], 0, '0 of 0'),
], ids=['few', 'few of many', 'heights differ', 'shifts differ', 'none'])
def test_images_that_do_not_agree_give_no_scale(seen: list[Floor], looked_at: int,
                                                reason: str) -> None:
    with pytest.raises(NotEnoughFloorError, match=f'^not enough floor: .*{reason}'):
        agree(seen, looked_at, HEIGHT)
