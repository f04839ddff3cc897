# SPDX-License-Identifier: Apache-2.0
"""The head that serves a camera stays until another is preferred for several images in a row."""

from depth_estimation_ros.core.domains import PATIENCE, DomainHold


def served(hold: DomainHold, camera: str, *preferred: int) -> list[int]:
    return [hold.choose(camera, each) for each in preferred]


def test_the_first_image_chooses() -> None:
    hold = DomainHold()
    assert hold.of('front') is None
    assert served(hold, 'front', 1) == [1]


def test_single_flips_are_not_followed() -> None:
    hold = DomainHold()
    flips = [0, *[1, 0] * 20, *[1] * (PATIENCE - 1), 0]
    assert served(hold, '', *flips) == [0] * len(flips)
    held = hold.of('')
    assert held is not None and held.changes == 0


def test_a_lasting_preference_takes_over_and_is_held_in_turn() -> None:
    hold = DomainHold()
    assert served(hold, '', 0, *[1] * PATIENCE, 0, 1) == [0] * PATIENCE + [1, 1, 1]
    held = hold.of('')
    assert held is not None and (held.head, held.changes) == (1, 1)


def test_cameras_do_not_share_a_head() -> None:
    hold = DomainHold()
    served(hold, 'front', 0)
    assert served(hold, 'rear', 1, 1) == [1, 1]
    assert served(hold, 'front', 0) == [0]
