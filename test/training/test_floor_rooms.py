# SPDX-License-Identifier: Apache-2.0
"""The floor gives the scale in rendered rooms, or nothing: never a wrong one."""

from typing import Any

import numpy as np
import pytest

from training.dataset import make_scene
from training.floor_rooms import (
    HIDDEN,
    RIGHT,
    SEED,
    STEP,
    Outcome,
    hide_floor,
    look,
    model_errors,
    outcomes,
    room,
)

TRUE, INVERSE = RIGHT


def holds(outcome: Outcome, share: float) -> bool:
    rooms = outcome.right + outcome.wrong + outcome.unanswered
    return outcome.right >= share * rooms and outcome.wrong == 0


def test_ten_rooms() -> None:
    found = outcomes(10)
    assert holds(found[TRUE], 0.95) and holds(found[INVERSE], 0.9), found


@pytest.mark.slow
def test_a_hundred_rooms() -> None:
    found = outcomes(100)
    assert holds(found[TRUE], 0.95) and holds(found[INVERSE], 0.9), found


def test_a_models_depth_needs_the_scale_of_its_own_floor() -> None:
    """Depth of which all is 20 % too far needs 1 / 1.2, and is not told that."""
    class TooFar:
        def estimate(self, images):
            assert images[0].shape == (480, 640, 3) and images[0].dtype == np.uint8
            return [np.kron(1.2 * next(depths), np.ones((STEP, STEP), np.float32))]

    seen = room(0, np.random.default_rng([SEED, 0]), 6)
    depths = iter([look(seen.world, camera)[0] for camera in seen.cameras])
    too_far: Any = TooFar()
    beyond, from_floor = model_errors(seen, np.random.default_rng(3), too_far)
    assert beyond == 0 and from_floor < 0.01


def test_boards_hide_the_share_of_the_floor_that_they_should() -> None:
    rng = np.random.default_rng(5)
    depth, floor = look(*make_scene(rng, 'test', False))
    hidden = hide_floor(depth, floor, room(0, rng, 1).lens, rng) < depth
    assert HIDDEN <= np.count_nonzero(hidden & floor) / np.count_nonzero(floor) < HIDDEN + 0.15
    assert depth.shape == (480 // STEP, 640 // STEP)
