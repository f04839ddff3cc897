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
from threading import RLock

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
            self._work_off()

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
        self._work_off()

    def _work_off(self) -> None:
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
