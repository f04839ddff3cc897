"""What a camera's stamps say: how often to serve it, and whether its clock can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

AHEAD = 0.1
"""Seconds by which a capture may lie in the future before the clocks are called out of step."""


@dataclass
class RateLimit:
    """Admits at most so many frames a second, judged by their capture stamps."""

    max_rate: float = 0.0
    """Hz; 0 admits every frame."""
    due: float | None = None
    """The stamp in seconds from which the next frame is admitted."""

    def admits(self, stamp: float) -> bool:
        """Say whether to serve a frame captured at ``stamp`` seconds; a clock may jump back."""
        if not self.max_rate:
            return True
        period = 1 / self.max_rate
        if self.due is None or stamp < self.due - 2 * period:
            self.due = stamp
        if stamp < self.due - 0.25 * period:  # a camera at just this rate jitters
            return False
        self.due = max(self.due + period, stamp)
        return True


@dataclass
class StampWatch:
    """Compares each frame's stamp with the clock and with the frame before."""

    last: float | None = None
    fault: str = ''
    """What is wrong with the newest stamp, in a sentence, or ''."""

    def see(self, stamp: float, now: float) -> None:
        """
        Judge a frame's stamp; a jump back, as of a bag that loops, is no fault.

        :param stamp: seconds of the capture.
        :param now: seconds on the node's clock.
        """
        self.fault = self._judge(stamp, now)
        self.last = stamp

    def _judge(self, stamp: float, now: float) -> str:
        if stamp == 0:
            return 'the images have no stamp: set header.stamp in the camera driver'
        if stamp - now > AHEAD:
            return (f'the images are stamped {stamp - now:.1f} s in the future: set the clocks of '
                    'both hosts by one source (chrony), or use_sim_time on both')
        if stamp == self.last:
            return 'the stamps do not move: the camera driver repeats one stamp'
        return ''
