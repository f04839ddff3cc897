# SPDX-License-Identifier: Apache-2.0
"""What a camera's stamps say: how often to serve it, and whether its clock can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

AHEAD = 0.1
"""Seconds by which a capture may lie in the future before the clocks are called out of step."""

CREDIBLE = 20.0
"""How many times faster or slower than arrivals stamps may run, as of a bag or a simulator."""

BURST = 1.0
"""Seconds of capture time that may arrive at once, after a stall of the network."""


def seconds(stamp: Any) -> float:
    """Return a builtin_interfaces/Time in seconds; rclpy's own Time refuses negative ones."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


@dataclass
class RateLimit:
    """
    Admits at most so many frames a second, by the capture stamps since the last one served.

    Where stamps stand still, jump back or jump ahead, the time between arrivals counts instead,
    so that no camera is locked out.
    """

    max_rate: float = 0.0
    """Hz; 0 admits every frame."""
    _served: tuple[float, float] | None = None
    """The stamp and the arrival of the last frame served."""
    _wait: float = 0.0
    """Seconds after it from which the next one is due."""

    def reset(self) -> None:
        """Forget the frames so far: the next one is admitted."""
        self._served = None

    def admits(self, stamp: float, arrival: float) -> bool:
        """
        Say whether to serve a frame.

        :param stamp: seconds of the capture.
        :param arrival: seconds on a clock that only goes forward.
        """
        if not self.max_rate:
            return True
        period, late = 1 / self.max_rate, 0.0
        if self._served is not None:
            late = self._elapsed(stamp, arrival) - min(self._wait, 1.25 * period)
            if late < -0.25 * period:  # a camera at just this rate jitters
                return False
        self._served = stamp, arrival
        self._wait = period - late if late < period else period
        return True

    def _elapsed(self, stamp: float, arrival: float) -> float:
        """Return the seconds since the last frame served, by stamps where they are credible."""
        assert self._served is not None
        captured, arrived = stamp - self._served[0], arrival - self._served[1]
        credible = arrived / CREDIBLE <= captured <= max(BURST, arrived * CREDIBLE)
        return captured if captured > 0 and credible else arrived


@dataclass
class StampWatch:
    """Compares each frame's stamp with the clock and with the frame before."""

    last: float | None = None
    fault: str = ''
    """What is wrong with the newest stamp, in a sentence, or ''."""

    def observe(self, stamp: Any, now: float) -> None:
        """
        Check a frame's stamp; a jump back, as of a bag that loops, is no fault.

        :param stamp: the builtin_interfaces/Time of the capture.
        :param now: seconds on the node's clock; 0 before the first /clock.
        """
        self.fault = self._fault(stamp, now)
        self.last = seconds(stamp)

    def _fault(self, stamp: Any, now: float) -> str:
        ahead = seconds(stamp) - now
        if stamp.sec == stamp.nanosec == 0:
            return 'the images have no stamp: set header.stamp in the camera driver'
        if stamp.sec < 0 or stamp.nanosec >= 10**9:
            return (f'the stamp {stamp.sec} s {stamp.nanosec} ns is no time: the camera driver '
                    'must keep sec at 0 or more and nanosec below 10^9')
        if now and ahead > AHEAD:
            return (f'the images are stamped {ahead:.1f} s in the future: set the clocks of '
                    'both hosts by one source (chrony); with use_sim_time set it on the camera '
                    'too, and see that /clock goes on')
        if seconds(stamp) == self.last:
            return 'the stamps do not move: the camera driver repeats one stamp'
        return ''
