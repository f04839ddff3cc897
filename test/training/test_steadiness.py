# SPDX-License-Identifier: Apache-2.0
"""The drives that the temporal filter is measured on, and the table of what it does."""

import math

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.steadiness import Video
from depth_estimation_ros.core.rigid import IDENTITY
from test.core.rendered import box, camera_at, room
from training.clip import RATE_HZ, drive
from training.steadiness.__main__ import HEADER, lines, row
from training.steadiness.drives import (
    KINDS,
    LENS,
    RADIUS_M,
    ROUND_S,
    Drive,
    approaching,
    crossing,
    make_room,
    moments,
    with_column,
)

STANDS, _, _, DRIVES = KINDS


def test_a_column_stands_where_it_is_said_to_be() -> None:
    start = camera_at(3.0, 3.0, yaw=math.pi / 2)  # looks along y, with x to its right
    world = with_column(room(box(1.0, 1.0, 0.3)), start, lambda seconds: (2.0, 0.5), 0.0)
    assert world.shapes[-1].centre[:2] == pytest.approx((2.5, 5.0))


def test_the_columns_come_by_and_nearer() -> None:
    ahead, left = zip(*(crossing(index / RATE_HZ) for index in range(10, 40)))
    assert left[0] > 1.5 and abs(left[-1]) < 0.1 and min(ahead) > 2.0
    distance = [math.hypot(*approaching(index / RATE_HZ)) for index in range(40)]
    assert np.all(np.diff(distance) < 0) and distance[-1] > 1.0 + RADIUS_M


def test_a_camera_stands_or_drives() -> None:
    world = make_room('validation', 1)
    stands, drives = ([camera for _, camera in moments(world, kind, 1, 3)]
                      for kind in (STANDS, DRIVES))
    assert stands[0] == stands[2] == drives[0]
    assert drives[2] == drive(world, 0.1 + 2 / RATE_HZ / ROUND_S)


def test_noise_is_halved_in_the_table() -> None:
    rng = np.random.default_rng(0)
    truth = np.full((40, 48, 64), 3.0, np.float32)
    plain = (truth * (1 + 0.01 * rng.normal(size=truth.shape))).astype(np.float32)
    image = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    seen = Drive(np.stack([image] * 40), plain,
                 Video(truth, [IDENTITY] * 40, LENS, np.ones(truth.shape, bool)))
    for kind, names in ((STANDS, ['off', 'on']), (DRIVES, ['off', 'on', 'on, with odometry'])):
        found = dict(lines(kind, seen, 16, 0.1))
        assert list(found) == names
        for name in names[1:]:
            flicker, tae, absrel, delta1, edges, surfaces, steadied = found[name]
            assert flicker < 0.3 * found['off'][0] and tae < 0.3 * found['off'][1]
            assert absrel < found['off'][2] and delta1 == 1.0 and edges == surfaces == 0.0
            assert steadied > 0.99
    assert row(('a', 'b'), found['off']).count('|') == HEADER.splitlines()[0].count('|')
