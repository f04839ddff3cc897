# SPDX-License-Identifier: Apache-2.0
"""The floor's scale as a robot drives: collected, frozen, then watched and never changed."""

import time

import cv2
import numpy as np
import pytest
import torch

from depth_estimation_ros.core.correction import Correction
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.floor import FloorOptions
from depth_estimation_ros.core.live_floor import (
    ENOUGH,
    SAMPLES,
    WATCHED,
    LiveFloor,
    thinned,
    watched,
)
from depth_estimation_ros.core.pinhole import Pinhole

from .test_floor import HEIGHT, LENS, PITCH, floor_map

WALL = np.full((120, 160), 3.0)


def look(floor: LiveFloor, depth: np.ndarray, lens: Pinhole, time: float) -> bool:
    return floor.look(depth.astype(np.float32), lens, time)


def collected(scale: float = 0.5) -> LiveFloor:
    floor = LiveFloor(FloorOptions(PITCH), HEIGHT)
    frozen = [look(floor, floor_map() / scale, LENS, float(number)) for number in range(ENOUGH)]
    assert frozen == [False] * (ENOUGH - 1) + [True]
    return floor


def test_the_scale_is_frozen_once_enough_images_agree() -> None:
    floor = collected(0.5)
    assert floor.correction is not None and floor.spread is not None
    assert floor.correction.scale == pytest.approx(0.5, rel=1e-3) and floor.spread < 0.01
    assert 'frozen: scale 0.5' in floor.state and not floor.fault


def test_what_is_collected_so_far_is_told() -> None:
    floor = LiveFloor(FloorOptions(PITCH), HEIGHT)
    assert floor.estimate is None
    for number in range(6):
        look(floor, floor_map() / 0.5, LENS, float(number))
    assert floor.estimate is not None and floor.estimate.scale == pytest.approx(0.5, rel=1e-3)
    assert f'6 of {ENOUGH}' in floor.state and floor.correction is None


def test_walls_are_not_enough_floor() -> None:
    floor = LiveFloor(FloorOptions(PITCH), HEIGHT)
    assert not any(floor.look(WALL, LENS, float(number)) for number in range(2 * ENOUGH))
    assert 'not enough floor' in floor.state and floor.correction is None


def test_a_relative_model_becomes_metric() -> None:
    floor = LiveFloor(FloorOptions(PITCH, quantity=Quantity.INVERSE_DEPTH), HEIGHT)
    values = 7 / floor_map() - 3
    for number in range(ENOUGH):
        look(floor, values, LENS, float(number))
    assert floor.correction is not None
    np.testing.assert_allclose(floor.correction(values), floor_map(), rtol=0.01)
    look(floor, values, LENS, 100.0)
    assert not floor.fault


@pytest.mark.parametrize(('drift', 'said'), [(1.3, '30% too far'), (0.7, '30% too near')])
def test_a_frozen_scale_is_never_changed_only_doubted(drift: float, said: str) -> None:
    floor = collected(0.5)
    before = floor.correction
    for number in range(2 * WATCHED):
        look(floor, drift * floor_map() / 0.5, LENS, 100.0 + number)
    assert floor.correction is before
    assert said in floor.fault and f'since {2 * WATCHED - 5} s' in floor.fault
    for number in range(2 * WATCHED):
        look(floor, floor_map() / 0.5, LENS, 200.0 + number)
    assert not floor.fault


def test_small_differences_are_no_fault() -> None:
    floor = watched(FloorOptions(PITCH), HEIGHT, Correction('scale', 1.0))
    for number in range(WATCHED):
        look(floor, 1.08 * floor_map(), LENS, float(number))
    assert floor.disagreement == pytest.approx(0.08, abs=0.005) and not floor.fault


def test_a_wall_later_on_says_nothing() -> None:
    floor = collected()
    for number in range(2 * WATCHED):
        floor.look(WALL, LENS, 100.0 + number)
    assert floor.disagreement is None and not floor.fault
    assert 'not enough floor to watch it' in floor.state


def test_an_absurd_scale_is_not_taken() -> None:
    floor = LiveFloor(FloorOptions(PITCH), HEIGHT)
    for number in range(ENOUGH):
        look(floor, 1000 * floor_map(), LENS, float(number))
    assert floor.correction is None and 'absurd' in floor.state


def test_a_thinned_map_is_of_the_same_view() -> None:
    whole = np.kron(floor_map(), np.ones((4, 4)))
    small, lens = thinned(whole, LENS)
    assert small.size < whole.size / 10
    other, _ = thinned(torch.from_numpy(whole), LENS)
    np.testing.assert_array_equal(other, small)
    assert lens.fx / LENS.fx == pytest.approx(small.shape[1] / whole.shape[1], rel=0.05)


def test_what_a_look_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the figure of docs/evaluation.md."""
    whole = 1 / cv2.resize((1 / floor_map()).astype(np.float32), (640, 480))
    floor = LiveFloor(FloorOptions(PITCH), HEIGHT)
    small, lens = thinned(whole, Pinhole(4 * LENS.fx, 4 * LENS.fy, 319.5, 239.5))
    times = []
    for number in range(10):
        started = time.perf_counter()
        floor.look(small, lens, float(number))
        times.append(time.perf_counter() - started)
    with capsys.disabled():
        print(f'\na look at {whole.shape[1]}x{whole.shape[0]}: {1e3 * np.median(times):.1f} ms')
    assert small.size / 2 < 2 * SAMPLES and floor.estimate is not None
