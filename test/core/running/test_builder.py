# SPDX-License-Identifier: Apache-2.0
"""The builder's thread: jobs in their turn, none lost to a fault, an end that aborts nothing."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import weakref
from functools import partial
from threading import Event

import pytest

from depth_estimation_ros.core.running.builder import Builder

PATIENCE = 60.0

ENDS_WHILE_BUILDING = """
from depth_estimation_ros.core.running.builder import Builder
builder = Builder()
builder.submit(lambda stop: print('stopped' if stop.wait(30) else 'late', flush=True))
"""


def test_jobs_are_done_in_turn_and_none_after_closing() -> None:
    builder, gate, begun = Builder(), Event(), Event()
    done: list[object] = []

    def until_stopped(stop: Event) -> None:
        begun.set()
        done.append(stop.wait(PATIENCE))

    assert builder.settle(0) and not builder.busy
    builder.submit(lambda stop: done.append(gate.wait(PATIENCE)))
    builder.submit(lambda stop: done.append(2))
    assert not builder.settle(0.05) and builder.busy
    gate.set()
    assert builder.settle(PATIENCE) and done == [True, 2]
    builder.submit(until_stopped)
    builder.submit(lambda stop: done.append('too late'))
    assert begun.wait(PATIENCE)
    builder.close()
    assert builder.settle(PATIENCE) and done == [True, 2, True]
    builder.submit(lambda stop: done.append('too late'))
    assert not builder.busy and builder._thread is not None
    builder._thread.join(PATIENCE)
    assert not builder._thread.is_alive() and 'too late' not in done


def test_a_job_that_fails_is_named_and_the_next_one_done(
        caplog: pytest.LogCaptureFixture) -> None:
    builder, done = Builder(), []

    def fail(stop: Event) -> None:
        raise MemoryError('injected')

    builder.submit(fail)
    builder.submit(lambda stop: done.append(1))
    assert builder.settle(PATIENCE) and done == [1]
    record, = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert 'unforeseen' in record.getMessage()
    builder.close()


def test_the_thread_holds_neither_the_builder_nor_a_job_that_is_done() -> None:
    class Thing:
        pass

    builder, thing = Builder(), Thing()
    builder.submit(partial(lambda thing, stop: None, thing))
    assert builder.settle(PATIENCE)
    thread, gone = builder._thread, weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None
    del builder
    gc.collect()
    assert isinstance(thread, threading.Thread)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_builder_may_be_let_go_by_its_own_thread() -> None:
    builder, thread_is_there = Builder(), Event()
    passed_on = [builder]

    def let_go(stop: Event) -> None:
        thread_is_there.wait(PATIENCE)
        passed_on.clear()
        gc.collect()

    builder.submit(let_go)
    thread = builder._thread
    del builder
    thread_is_there.set()
    assert thread is not None
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_program_that_ends_meanwhile_stops_the_job_and_ends_well() -> None:
    ended = subprocess.run([sys.executable, '-c', ENDS_WHILE_BUILDING], timeout=25,
                           capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, 'stopped\n', '')
