# SPDX-License-Identifier: Apache-2.0
"""The guard: one at a time, and what must not disturb a capture waits for its end."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic

import pytest

from depth_estimation_ros.core.running.guard import Guard

PATIENCE = 30.0


class Holder:
    """Another thread that holds a guard until it is told to let go."""

    def __init__(self, guard: Guard, between: Callable[[], None] = lambda: None) -> None:
        self.held, self.go_on = Event(), Event()
        self.between = between
        self.thread = Thread(target=self._hold, args=(guard,))
        self.thread.start()
        assert self.held.wait(PATIENCE)

    def _hold(self, guard: Guard) -> None:
        with guard.hold():
            self.held.set()
            end = monotonic() + PATIENCE
            while not self.go_on.wait(0.01) and monotonic() < end:
                self.between()

    def release(self) -> None:
        self.go_on.set()
        self.thread.join(PATIENCE)


def test_one_thread_may_hold_it_twice_and_another_waits() -> None:
    guard = Guard()
    holder = Holder(guard)
    with guard.hold(0) as held:
        assert not held
    holder.release()
    with guard.hold(0) as held, guard.hold(0) as again:
        assert held and again


def test_a_job_runs_at_once_or_when_the_holder_is_done() -> None:
    guard, done = Guard(), []
    guard.run_soon(lambda: done.append('free'))
    holder = Holder(guard)
    guard.run_soon(lambda: done.append('held by another'))
    assert done == ['free']
    holder.release()
    assert done == ['free', 'held by another']
    with guard.hold():
        guard.run_soon(lambda: done.append('held by this thread'))
        assert len(done) == 3


def test_nothing_runs_during_a_capture_of_the_same_thread() -> None:
    guard, done = Guard(), []
    with guard.hold():
        with guard.capture():
            guard.run_soon(lambda: done.append(1))
            assert not done and not gc.isenabled()
        assert gc.isenabled()
    assert done == [1]


def test_a_capture_leaves_a_collector_that_was_off_as_it_was() -> None:
    guard = Guard()
    gc.disable()
    try:
        with guard.hold(), guard.capture():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_body_that_fails_releases_it_and_jobs_still_run() -> None:
    guard, done = Guard(), []
    with pytest.raises(ValueError, match='body'), guard.hold(), guard.capture():
        guard.run_soon(lambda: done.append(1))
        raise ValueError('body')
    assert done == [1] and gc.isenabled()
    Holder(guard).release()


def test_a_job_that_fails_is_a_warning_and_the_next_one_runs(
        caplog: pytest.LogCaptureFixture) -> None:
    guard, done = Guard(), []
    holder = Holder(guard)
    guard.run_soon(lambda: 1 / 0)
    guard.run_soon(lambda: done.append(1))
    holder.release()
    assert done == [1]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_no_job_is_lost_however_threads_meet() -> None:
    guard, done = Guard(), []

    def work() -> None:
        for _ in range(300):
            with guard.hold():
                pass
            guard.run_soon(lambda: done.append(1))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(done) == 1200


def test_who_waits_for_the_jobs_is_told_whether_they_are_done() -> None:
    guard, done = Guard(), []
    assert guard.settle(0) and not guard.held_elsewhere
    holder = Holder(guard)
    guard.run_soon(lambda: done.append(1))
    assert guard.held_elsewhere and not guard.settle(0.01) and not done
    holder.release()
    assert guard.settle(PATIENCE) and done == [1]


def test_whoever_holds_it_for_long_lets_jobs_be_done_at_times() -> None:
    guard, done = Guard(), []
    holder = Holder(guard, guard.work_off)
    guard.run_soon(lambda: done.append(1))
    assert guard.settle(PATIENCE) and done == [1] and guard.held_elsewhere
    holder.release()
