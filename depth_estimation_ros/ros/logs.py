"""Warnings on their way to the operator's log: the core's into ROS, and none too often."""

from __future__ import annotations

import logging
import time
from typing import Any

QUIET = 5.0
"""Seconds for which a warning of one kind is not repeated."""


FRESH = 60.0
"""Seconds for which diagnostics repeat a warning of the core."""


class Throttle:
    """Logs a warning of each kind once in QUIET seconds at most, and how many it held back."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._kinds: dict[str, tuple[float, int]] = {}

    def warn(self, kind: str, message: str) -> None:
        """Log ``message`` unless one of its kind was just logged."""
        now = time.monotonic()
        logged, held = self._kinds.get(kind, (-QUIET, 0))
        if now - logged < QUIET:
            self._kinds[kind] = (logged, held + 1)
            return
        more = f' ({held} more like it since)' if held else ''
        self._logger.warning(f'{kind}: {message}{more}')
        self._kinds[kind] = (now, 0)


class CoreLog(logging.Handler):
    """Hands what the core logs to a ROS logger and keeps the last warning for diagnostics."""

    def __init__(self, logger: Any) -> None:
        super().__init__(logging.INFO)
        self._logger = logger
        self._warning, self._warned = '', 0.0

    @property
    def last_warning(self) -> str:
        """The last warning, if it came in the last FRESH seconds, else ''."""
        return self._warning if time.monotonic() - self._warned < FRESH else ''

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record at its own level."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)
        if record.levelno >= logging.WARNING:
            self._warning, self._warned = text, time.monotonic()
