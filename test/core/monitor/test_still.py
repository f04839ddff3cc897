# SPDX-License-Identifier: Apache-2.0
"""A frozen picture: the same bytes, not the same scene."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.monitor.look import sample_of
from depth_estimation_ros.core.monitor.still import CHANGED, Stillness, changed_share
from training.monitor.camera import Settings, photograph
from training.monitor.faults import with_clock
from training.monitor.rooms import Radiance


def test_the_same_bytes_are_still_from_the_first_one_on(
        rooms: list[Radiance], camera: Settings) -> None:
    stillness, sample = Stillness(), sample_of(photograph(rooms[0], camera))
    assert [stillness.observe(sample.copy(), 10.0 + 0.5 * step) for step in range(4)] == [
        0.0, 0.5, 1.0, 1.5]


def test_a_camera_that_stands_still_is_alive_by_its_noise(
        rooms: list[Radiance], camera: Settings) -> None:
    stillness = Stillness()
    assert not any(stillness.observe(sample_of(photograph(rooms[0], camera.frame(number))), number)
                   for number in range(5))


def test_a_clock_in_a_frozen_picture_is_not_life(rooms: list[Radiance], camera: Settings) -> None:
    stillness = Stillness()
    image = np.kron(photograph(rooms[0], camera), np.ones((2, 2, 1), np.uint8))
    found = [stillness.observe(sample_of(with_clock(image, second)), float(second))
             for second in range(5)]
    assert found == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_what_changes_little_by_little_is_alive() -> None:
    stillness, image = Stillness(), np.zeros((120, 160, 3), np.uint8)
    found = []
    for second in range(20):
        image.flat[second * 100:(second + 1) * 100] = 255
        found.append(stillness.observe(image.copy(), float(second)))
    assert max(found) < 5.0


def test_pictures_of_two_sizes_are_two() -> None:
    one = np.zeros((4, 4, 3), np.uint8)
    assert changed_share(one, one) == 0.0 < CHANGED < changed_share(one, one[:2])
    changed = one.copy()
    changed[0, 0] = 1
    assert changed_share(one, changed) == pytest.approx(1 / 16)
