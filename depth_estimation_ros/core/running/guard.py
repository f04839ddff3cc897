# SPDX-License-Identifier: Apache-2.0
"""One lock for all that may not happen while a CUDA graph is captured anywhere in the process.

A capture is spoilt by a device synchronisation, an ``empty_cache`` or the destruction of a graph
in any thread, and the library calls that fail then may end the process. Replays and ordinary
kernels of other threads do no harm. So warm-up, capture, construction, destruction and
``empty_cache`` happen under :data:`GUARD`, one at a time.
"""

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, RLock

LOGGER = logging.getLogger(__name__)

Job = Callable[[], object]


class Guard:
    """A lock that one thread may take several times, and jobs that wait for it to be free."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._capturing = False
        self._waiting: deque[Job] = deque()

    @contextmanager
    def hold(self, timeout: float = -1) -> Iterator[bool]:
        """
        Hold the lock.

        :param timeout: seconds to wait for it, negative without end.
        :return: whether it is held.
        """
        if not self._lock.acquire(timeout=timeout):
            yield False
            return
        try:
            yield True
        finally:
            self._lock.release()
            self.work_off()

    @contextmanager
    def capture(self) -> Iterator[None]:
        """While the lock is held: let nothing be destroyed, by this thread or the collector."""
        enabled = gc.isenabled()
        gc.disable()
        self._capturing = True
        try:
            yield
        finally:
            self._capturing = False
            if enabled:
                gc.enable()

    def run_soon(self, job: Job) -> None:
        """Run ``job`` now, or when the capture or whoever else holds the lock is done."""
        self._waiting.append(job)
        self.work_off()

    def settle(self, timeout: float) -> bool:
        """Wait until all jobs so far are done; return whether that came within ``timeout`` s."""
        done = Event()
        self.run_soon(done.set)
        return done.wait(timeout)

    @property
    def held_elsewhere(self) -> bool:
        """Whether another thread holds the lock."""
        if not self._lock.acquire(blocking=False):
            return True
        self._lock.release()
        self.work_off()
        return False

    def work_off(self) -> None:
        """Do what waits, if this thread may; whoever holds the lock for long does so at times."""
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                if self._capturing:
                    return
                self._run_next()
            finally:
                self._lock.release()

    def _run_next(self) -> None:
        if not self._waiting:  # another thread was quicker
            return
        try:
            self._waiting.popleft()()
        except Exception as error:  # whoever runs it is not the one who wanted it
            LOGGER.warning('memory of the device could not be freed: %s', error)


GUARD = Guard()
"""The process's only one."""
