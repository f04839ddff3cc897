# SPDX-License-Identifier: Apache-2.0
"""Warnings on their way to the operator's log: the core's into ROS, and none too often."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from rclpy.exceptions import ParameterException

from ..core.errors import DepthError

QUIET = 5.0
"""Seconds for which a warning of one kind is not repeated."""

FRESH = 60.0
"""Seconds for which diagnostics repeat a warning of the core."""


LONGEST = 500
"""Characters of an error that a line of the log holds."""


def one_line(error: BaseException) -> str:
    """Return what an error says in one line, with its class where it was not meant for reading."""
    text = ' '.join(str(error).split())[:LONGEST]
    if isinstance(error, (DepthError, ParameterException, ValueError)) and text:
        return text
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


class Throttle:
    """Logs a warning of each kind once in QUIET seconds at most, and how many it held back."""

    def __init__(self, log: Callable[[str], Any]) -> None:
        """:param log: takes a line, at the level that it is to have."""
        self._log = log
        self._kinds: dict[str, tuple[float, int]] = {}

    def warn(self, kind: str, message: str) -> None:
        """Log ``message`` unless one of its kind was just logged."""
        now = time.monotonic()
        logged, held = self._kinds.get(kind, (-QUIET, 0))
        if now - logged < QUIET:
            self._kinds[kind] = (logged, held + 1)
            return
        more = f' ({held} more like it since)' if held else ''
        self._log(f'{kind}: {message}{more}')
        self._kinds[kind] = (now, 0)


class CoreLog(logging.Handler):
    """Hands what the core logs to a ROS logger and keeps the last warning for diagnostics."""

    def __init__(self, logger: Any, open_: Callable[[], bool] = lambda: True) -> None:
        """:param open_: whether the logger may still be used; after a signal it may not."""
        super().__init__(logging.INFO)
        self._logger, self._open = logger, open_
        self._warning, self._warned = '', 0.0

    @property
    def last_warning(self) -> str:
        """The last warning, if it came in the last FRESH seconds, else ''."""
        return self._warning if time.monotonic() - self._warned < FRESH else ''

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record at its own level."""
        if not self._open():
            return
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)
        if record.levelno >= logging.WARNING:
            self._warning, self._warned = text, time.monotonic()
