# SPDX-License-Identifier: Apache-2.0
"""Signals: they end the process at once while it starts, in good order afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from threading import Thread

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The last where it is not ignored, as nohup has it: a terminal or an ssh session is gone."""

STDERR = 2

DEADLINE = 1.6
"""Seconds from a signal after which the process ends, whatever is still in progress."""


class Interrupt:
    """
    Waits for a signal in a thread of its own.

    No handler raises: an exception between any two instructions may hit a conversion within
    rclpy's C++, which makes another error of it. Nor does rclpy shut its context down by itself,
    which makes every call that is in progress fail.
    """

    def __init__(self) -> None:
        """End the process with code 0 on a signal: there is nothing yet to leave in order."""
        self.received = False
        self._wake: Callable[[], object] | None = None
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            # SIGINT is ignored in what a script starts with &, and ends the node all the same
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: None)
        Thread(target=self._watch, args=(reader,), name='signals', daemon=True).start()

    def defer(self, wake: Callable[[], object]) -> None:
        """
        Leave it to the caller from now on to look at ``received``, and to end.

        :param wake: called on a signal, in another thread, to end the caller's waiting.
        """
        self._wake = wake

    def _watch(self, reader: int) -> None:
        while os.read(reader, 1)[0] not in SIGNALS:  # others have no handler, but wake it too
            pass
        self.received = True
        if self._wake is None:
            os._exit(0)
        self._wake()
        time.sleep(DEADLINE)
        os._exit(0)


def fill_standard_streams() -> None:
    """
    Open /dev/null as each standard descriptor that a supervisor has closed.

    Else the next file, socket or pipe gets its number, and the log's lines are written into that.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(opened)
