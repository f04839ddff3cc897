# SPDX-License-Identifier: Apache-2.0
"""Stamps: how often a camera is served by them, and what is said of those that cannot be true."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st

from depth_estimation_ros.ros.stamps import RateLimit, StampWatch, seconds

FRAMES, PERIOD = 300, 1 / 30
"""Ten seconds of a camera at 30 Hz."""

NOW = 1.7e9
HOUR = 3600.0


def admitted(max_rate: float, stamps: Iterable[float], *, jitter: float = 0.0) -> int:
    """Count the frames served of a camera whose images arrive at 30 Hz under these stamps."""
    limit = RateLimit(max_rate)
    return sum(limit.admits(stamp, 50.0 + number * PERIOD + jitter * (number % 3))
               for number, stamp in enumerate(stamps))


STAMPS: dict[str, Callable[[int], float]] = {
    'sound': lambda n: NOW + n * PERIOD,
    'always zero': lambda n: 0.0,
    'standing still': lambda n: NOW,
    'an hour back after 5 s': lambda n: NOW + n * PERIOD - HOUR * (n > 150),
    'an hour ahead after 5 s': lambda n: NOW + n * PERIOD + HOUR * (n > 150),
    'ahead, then back': lambda n: NOW + n * PERIOD + HOUR * (100 < n < 200),
    'a bag that loops each second': lambda n: NOW + (n % 30) * PERIOD,
    'running backwards': lambda n: NOW - n * PERIOD,
    'creeping, milliseconds written as nanoseconds': lambda n: NOW + n * PERIOD * 1e-6,
    'two publishers an hour apart': lambda n: NOW + n * PERIOD + HOUR * (n % 2),
    'every stamp twice': lambda n: NOW + (n // 2) * 2 * PERIOD,
}


@pytest.mark.parametrize('name', STAMPS)
@pytest.mark.parametrize(('max_rate', 'expected'), [(5.0, 50), (10.0, 100), (1.0, 10)])
def test_the_rate_holds_whatever_the_stamps(name: str, max_rate: float, expected: int) -> None:
    count = admitted(max_rate, map(STAMPS[name], range(FRAMES)))
    assert count == pytest.approx(expected, rel=0.35, abs=2)


@pytest.mark.parametrize('max_rate', [30.0, 31.0, 1000.0, 1e6])
def test_a_camera_at_the_rate_or_below_loses_nothing(max_rate: float) -> None:
    jittering = (NOW + number * PERIOD + 0.2 * PERIOD * (number % 2) for number in range(FRAMES))
    assert admitted(max_rate, jittering) == FRAMES


def test_stamps_count_where_arrivals_jitter() -> None:
    stamps = [NOW + number * PERIOD for number in range(FRAMES)]
    assert admitted(15.0, stamps, jitter=0.01) == admitted(15.0, stamps) == FRAMES / 2


def test_a_bag_at_ten_times_its_speed_is_limited_in_its_own_time() -> None:
    assert admitted(5.0, (NOW + number * PERIOD * 10 for number in range(FRAMES))) == FRAMES


def test_no_limit_admits_all_and_a_limit_may_come_and_go() -> None:
    limit = RateLimit()
    arrivals = [number * PERIOD for number in range(FRAMES)]
    assert all(limit.admits(0.0, arrival) for arrival in arrivals)
    limit.max_rate = 0.05
    assert sum(limit.admits(0.0, 100 + arrival) for arrival in arrivals) == 1
    limit.max_rate = 10.0
    assert sum(limit.admits(0.0, 111 + arrival) for arrival in arrivals) == pytest.approx(100, 0.1)


def test_after_a_reset_the_next_frame_is_served() -> None:
    limit = RateLimit(0.1)
    assert limit.admits(1.0, 1.0) and not limit.admits(2.0, 2.0)
    limit.reset()
    assert limit.admits(2.1, 2.1)


@given(st.lists(st.floats(-1e10, 1e10), min_size=300, max_size=300))
def test_no_stamps_lock_a_camera_out_for_long(stamps: list[float]) -> None:
    limit = RateLimit(5.0)
    served = [limit.admits(stamp, number * PERIOD) for number, stamp in enumerate(stamps)]
    gaps, gap = [0], 0
    for one in served:
        gap = 0 if one else gap + 1
        gaps.append(gap)
    assert max(gaps) * PERIOD < 2 * 0.2 + PERIOD


@pytest.mark.parametrize(('stamp', 'expected'), [
    (Time(sec=5, nanosec=250_000_000), 5.25), (Time(sec=-5), -5.0),
    (Time(sec=5, nanosec=4_000_000_000), 9.0), (Time(), 0.0)], ids=str)
def test_any_stamp_has_a_value(stamp: Time, expected: float) -> None:
    assert seconds(stamp) == expected


@pytest.mark.parametrize(('stamp', 'now', 'named'), [
    (Time(sec=1000), 1000.05, ''), (Time(sec=1000), 5000.0, ''),
    (Time(sec=1000, nanosec=90_000_000), 1000.0, ''),
    (Time(), 1000.0, 'no stamp'), (Time(sec=1002), 1000.0, '2.0 s in the future'),
    (Time(sec=-1), 1000.0, 'is no time'), (Time(sec=10, nanosec=10**9), 1000.0, 'is no time'),
    (Time(sec=1000), 0.0, '')], ids=str)
def test_a_stamp_that_cannot_be_true_is_named(stamp: Time, now: float, named: str) -> None:
    watch = StampWatch()
    watch.observe(stamp, now)
    assert named in watch.fault and bool(watch.fault) == bool(named)
    watch.observe(Time(sec=10), 1000.0)
    assert watch.fault == '', 'the fault outlives its cause'


def test_a_stamp_that_stands_still_is_named_and_a_jump_back_is_not() -> None:
    watch = StampWatch()
    for sec, named in ((10, ''), (10, 'do not move'), (9, ''), (10, '')):
        watch.observe(Time(sec=sec), 1000.0)
        assert named in watch.fault and bool(watch.fault) == bool(named)
