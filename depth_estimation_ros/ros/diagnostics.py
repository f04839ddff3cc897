"""The node seen from outside: a status a camera and one for the model, once a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from .tally import DEACTIVATED, PAUSED, RATE_LIMITED, REPLACED, UNWANTED, Summary

SILENT_AFTER = 2.0
"""Seconds without a frame after which a camera is called silent."""

MANY_DROPS = 0.5
"""The share of frames dropped for a fault, within a second, that is worth a WARN."""

RESTING = {UNWANTED: 'resting: nobody subscribes', PAUSED: 'paused by the enable service'}
"""What a camera does whose frames are dropped for these reasons."""

BENIGN = (REPLACED, DEACTIVATED, RATE_LIMITED, *RESTING)
"""Reasons to drop a frame that are the node's ordinary work."""


@dataclass
class CameraWatch:
    """Turns a camera's account into a status, comparing it with that of a second ago."""

    name: str
    topic: str
    before: Summary | None = None
    heard: float | None = None
    """Seconds on the node's clock when a frame was last seen to have arrived."""

    def status(self, account: Summary, now: float, period: float,
               faults: list[str]) -> DiagnosticStatus:
        """
        Return the camera's status.

        :param now: seconds on the node's clock.
        :param period: seconds since the last call.
        :param faults: what is wrong with the camera's topics, each in a sentence.
        """
        before = self.before or account
        if self.heard is None or account.received > before.received or now < self.heard:
            self.heard = now
        self.before = account
        level, problem = self._problem(account, before, now)
        if faults:
            level = max(level, DiagnosticStatus.WARN)
        problems = [*faults, *filter(None, [problem])]
        message = '; '.join(problems) or _calm(account, before)
        return DiagnosticStatus(
            level=level, name=self.name, message=message, hardware_id=self.topic,
            values=_values({
                'input_hz': f'{(account.received - before.received) / period:.1f}',
                'output_hz': f'{(account.published - before.published) / period:.1f}',
                'received': account.received, 'published': account.published,
                **{f'dropped_{reason}': count for reason, count in account.dropped.items()},
                'seconds_since_last_frame': f'{now - self.heard:.1f}',
                **{f'{stage}_ms_{quantile}': f'{value:.1f}'
                   for stage, pair in account.stages.items()
                   for quantile, value in zip(('p50', 'p99'), pair, strict=True)}}))

    def _problem(self, account: Summary, before: Summary, now: float) -> tuple[bytes, str]:
        """Return what is wrong with the frames of the last second, and how badly."""
        silence = now - self.heard if self.heard is not None else 0.0
        if silence > SILENT_AFTER:
            return DiagnosticStatus.WARN, (f'no image on {self.topic} for {silence:.0f} s: is the '
                                           'camera running, and the topic remapped to it?')
        arrived = account.received - before.received
        faults = {reason: count - before.dropped.get(reason, 0)
                  for reason, count in account.dropped.items() if reason not in BENIGN}
        lost = sum(faults.values())
        if not arrived or lost <= MANY_DROPS * arrived:
            return DiagnosticStatus.OK, ''
        worst = max(faults, key=lambda reason: faults[reason])
        why = account.explanations.get(worst, 'the log names the reason')
        served = account.published > before.published
        return (DiagnosticStatus.WARN if served else DiagnosticStatus.ERROR,
                f'{lost} of {arrived} frames dropped, most as {worst}: {why}')


def _calm(account: Summary, before: Summary) -> str:
    """Say what a camera without a problem is doing."""
    for reason, words in RESTING.items():
        if account.dropped.get(reason, 0) > before.dropped.get(reason, 0):
            return words
    return 'depth is published' if account.published else 'waiting for the first image'


def model_status(name: str, facts: dict[str, Any], warning: str) -> DiagnosticStatus:
    """Return the model's status: its facts, and WARN with the core's last warning if any."""
    level = DiagnosticStatus.WARN if warning else DiagnosticStatus.OK
    return DiagnosticStatus(level=level, name=name, message=warning or 'loaded',
                            hardware_id=str(facts['device']), values=_values(facts))


def _values(facts: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in facts.items()]
