# SPDX-License-Identifier: Apache-2.0
"""From a measure to an alarm: what lasts counts, a single frame does not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

HOLD = 1.0
"""Seconds for which a measure must be beyond its limit before that is an alarm, or within it
before the alarm is over."""

MINUTE = 60.0


@dataclass
class Alarm:
    """Whether a measure is beyond its limit, for long enough."""

    active: bool = False
    since: float = 0.0
    """Seconds, when the measure went beyond the limit, or came back."""
    _turned: float | None = None
    """When the measure went to the other side, as long as that has not lasted."""

    def update(self, beyond: bool, now: float) -> bool:
        """
        Take one more look at the measure.

        :param now: seconds on a clock that does not jump.
        :return: whether the alarm began or ended by this look.
        """
        if beyond == self.active:
            self._turned = None
        elif self._turned is None:
            self._turned = now
        elif now - self._turned >= HOLD:
            self.active, self.since, self._turned = beyond, self._turned, None
            return True
        return False


class RecentCount:
    """How far a counter has risen within the last minute."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()
        self._last: int | None = None

    def observe(self, count: int, now: float) -> int:
        """Return the rise; a counter that falls has begun anew."""
        if self._last is not None and count > self._last:
            self._steps.append((now, count - self._last))
        self._last = count
        while self._steps and now - self._steps[0][0] > MINUTE:
            self._steps.popleft()
        return sum(step for _, step in self._steps)
