# SPDX-License-Identifier: Apache-2.0
"""Looks at rendered images: what is in order passes, each fault shows in its own measure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from depth_estimation_ros.core.monitor.look import SIDE, look_at, reduced, sample_of
from depth_estimation_ros.ros.monitor_checks import CHECKS, MonitorSettings
from training.monitor.camera import Settings, defocused, draw_settings, photograph
from training.monitor.rooms import Radiance

LIMITS = MonitorSettings()
SIZES = ((480, 640), (120, 160), (1080, 1920), (48, 64))


def faults(image: np.ndarray) -> set[str]:
    look = look_at(image)
    values = {'dark': look.luma, 'saturated': look.saturated, 'blurred': look.sharpness}
    return {name for name, value in values.items()
            if CHECKS[name].is_fault(value, getattr(LIMITS, name))}


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize('size', SIZES)
def test_rooms_by_a_camera_in_order_show_no_fault(
        rooms: list[Radiance], size: tuple[int, int]) -> None:
    found = [faults(resized(photograph(light, draw_settings(np.random.default_rng(number))), size))
             for number, light in enumerate(rooms)]
    assert found == [set()] * len(rooms)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(('level', 'name'), [(0.04, 'dark'), (1.2, 'saturated')])
def test_exposure_shows(rooms: list[Radiance], camera: Settings, size: tuple[int, int],
                        level: float, name: str) -> None:
    assert all(name in faults(resized(photograph(light, camera.with_level(level)), size))
               for light in rooms)


@pytest.mark.parametrize('size', [(480, 640), (240, 320), (1080, 1920)])
def test_a_lens_out_of_focus_shows_whatever_stands_in_the_room(
        rooms: list[Radiance], camera: Settings, size: tuple[int, int]) -> None:
    found = [faults(resized(photograph(defocused(light, 8), camera), size)) for light in rooms]
    assert found == [{'blurred'}] * len(rooms)


def test_noise_is_not_sharpness(rooms: list[Radiance], camera: Settings) -> None:
    noise = np.random.default_rng(1).normal(0, 6, (*rooms[0].shape[:2], 3))
    blurred = photograph(defocused(rooms[0], 8), camera)
    noisy = np.clip(blurred + noise, 0, 255).astype(np.uint8)
    assert faults(noisy) == {'blurred'}


def test_noise_alone_has_no_edges() -> None:
    noise = np.random.default_rng(1).normal(120, 12, (240, 320, 1)).clip(0, 255)
    assert look_at(np.broadcast_to(noise, (240, 320, 3)).astype(np.uint8)).sharpness is None


def test_grey_is_as_good_as_colour(rooms: list[Radiance], camera: Settings) -> None:
    image = photograph(rooms[0], camera)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert look_at(grey).luma == pytest.approx(look_at(image).luma, abs=0.5)
    assert look_at(grey).sharpness == pytest.approx(look_at(image).sharpness, rel=0.02)


@pytest.mark.parametrize('size', [(1, 1), (1, 300), (300, 1), (2, 3), (33, 40), (480, 640)])
@pytest.mark.parametrize('level', [0, 128, 255])
def test_an_even_image_of_any_size_has_no_sharpness(size: tuple[int, int], level: int) -> None:
    look = look_at(np.full((*size, 3), level, np.uint8))
    assert look.luma == pytest.approx(level) and look.sharpness is None
    assert look.saturated == (level == 255)
    assert look.tiles.bare.all() == (min(size) >= 20)


@pytest.mark.parametrize('channel', [0, 1, 2])
def test_one_clipped_channel_is_clipped(channel: int) -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    image[:30, :, channel] = 255
    assert look_at(image).saturated == pytest.approx(0.5)


@pytest.mark.parametrize('size', [(480, 640), (1080, 1920), (2160, 3840), (700, 90), (48, 64)])
def test_every_image_is_looked_at_in_one_size(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    small = reduced(image)
    assert max(small.shape) == min(SIDE, max(size))
    assert small.shape[0] / small.shape[1] == pytest.approx(size[0] / size[1], rel=0.02)
    assert small.mean() == pytest.approx(127.5, abs=1)
    assert not np.shares_memory(sample_of(image), image)
    assert sample_of(image).size <= small.size
