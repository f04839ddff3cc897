# SPDX-License-Identifier: Apache-2.0
"""A thread beside the work: what takes long is done there, one job after the other."""

import logging
import weakref
from collections import deque
from collections.abc import Callable
from threading import Condition, Event, Thread, current_thread

LOGGER = logging.getLogger(__name__)

Job = Callable[[Event], None]
"""What is to be done; it ends early once the event is set."""

GRACE = 20.0
"""Seconds to wait at the end for a job that cannot be stopped."""


class Builder:
    """Does jobs in a thread of its own, started with the first; ended with the builder."""

    def __init__(self) -> None:
        self._queue = _Queue()
        self._thread: Thread | None = None

    def submit(self, job: Job) -> None:
        """Do ``job`` after those submitted before it; once closed, never."""
        if not self._queue.put(job) or self._thread is not None:
            return
        self._thread = Thread(target=_work, args=(self._queue,), name='builder', daemon=True)
        self._thread.start()
        weakref.finalize(self, _end, self._queue, self._thread)

    @property
    def busy(self) -> bool:
        """Whether a job waits or is in hand."""
        return bool(self._queue.jobs)

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until there is no job any more; return whether that came within ``timeout`` s."""
        with self._queue.changed:
            return self._queue.changed.wait_for(lambda: not self._queue.jobs, timeout)

    def close(self) -> None:
        """Drop the jobs that wait, stop the one in hand."""
        self._queue.close()


class _Queue:
    """The jobs, shared by a builder and its thread; the first one is in hand."""

    def __init__(self) -> None:
        self.changed, self.closed = Condition(), Event()
        self.jobs: deque[Job] = deque()

    def put(self, job: Job) -> bool:
        with self.changed:
            if not self.closed.is_set():
                self.jobs.append(job)
                self.changed.notify_all()
            return not self.closed.is_set()

    def first(self) -> Job | None:
        """Wait for a job; None once closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.jobs or self.closed.is_set())
            if self.closed.is_set():
                self.jobs.clear()
                self.changed.notify_all()
            return self.jobs[0] if self.jobs else None

    def done(self) -> None:
        with self.changed:
            if self.jobs:
                self.jobs.popleft()
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed.set()
            while len(self.jobs) > 1:
                self.jobs.pop()
            self.changed.notify_all()


def _work(queue: _Queue) -> None:
    while (job := queue.first()) is not None:
        try:
            job(queue.closed)
        except Exception:  # the thread's boundary: the next job may succeed
            LOGGER.exception('a network could not be built, for an unforeseen reason')
        finally:
            del job
            queue.done()


def _end(queue: _Queue, thread: Thread) -> None:
    """Let the thread go before Python does, which would abort it within a library's C++."""
    queue.close()
    if thread is not current_thread():  # which may be the one that lets the builder go
        thread.join(GRACE)
