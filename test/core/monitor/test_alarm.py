# SPDX-License-Identifier: Apache-2.0
"""What lasts is an alarm; what comes and goes is not."""

from __future__ import annotations

import pytest

from depth_estimation_ros.core.monitor.alarm import HOLD, MINUTE, Alarm, RecentCount


def actives(looks: str, period: float = 0.2) -> str:
    """Return the alarm's state at each look; 1 is beyond the limit."""
    alarm, states = Alarm(), ''
    for number, look in enumerate(looks):
        before = alarm.active
        assert alarm.update(look == '1', number * period) == (alarm.active != before)
        states += str(int(alarm.active))
    return states


def test_single_looks_begin_nothing_and_end_nothing() -> None:
    assert actives('0100110000') == '0000000000'
    assert actives('1111110111001111') == '0000011111111111'


@pytest.mark.parametrize(('looks', 'states'), [
    ('0111111', '0000001'), ('1111110000001', '0000011111100')])
def test_a_second_decides(looks: str, states: str) -> None:
    assert actives(looks) == states


def test_a_slow_camera_needs_two_looks() -> None:
    assert actives('0110', period=3.0) == '0011' and actives('01100', period=3.0) == '00110'
    assert actives('010', period=3.0) == '000'


def test_it_counts_from_the_first_look() -> None:
    alarm = Alarm()
    for now in (5.0, 5.5, 5.0 + HOLD):
        alarm.update(True, now)
    assert alarm.active and alarm.since == 5.0


def test_a_minutes_changes_are_counted() -> None:
    recent = RecentCount()
    assert [recent.observe(count, 10.0 * count) for count in (4, 5, 6, 7)] == [0, 1, 2, 3]
    assert recent.observe(7, 50.5 + MINUTE) == 2
    assert recent.observe(0, 55.0 + MINUTE) == 2, 'a counter that begins anew falls'
    assert recent.observe(1, 200.0 + MINUTE) == 1
