# SPDX-License-Identifier: Apache-2.0
"""Light from rendered rooms, with patterns on their walls and without."""

from __future__ import annotations

import numpy as np
import pytest

from training.monitor.camera import Settings, draw_settings
from training.monitor.rooms import Radiance, views

ROOMS, VIEWS = 6, 32


@pytest.fixture(scope='session')
def rooms() -> list[Radiance]:
    """Return what a camera gets of rooms, every second one with plain walls."""
    return [next(views('test', index, 1, 2)) for index in range(ROOMS)]


@pytest.fixture(scope='session')
def turning(rooms: list[Radiance]) -> list[Radiance]:
    """Return what a camera gets that turns before a panorama, as the rooms side by side are."""
    panorama, width = np.hstack(rooms), rooms[0].shape[1]
    starts = np.linspace(0, panorama.shape[1] - width, VIEWS)
    return [panorama[:, int(start):int(start) + width] for start in starts]


@pytest.fixture
def camera() -> Settings:
    """Return a camera in order."""
    return draw_settings(np.random.default_rng(3))
