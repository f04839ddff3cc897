"""The node seen from outside: a status a camera and one for the model, once a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from .tally import DEACTIVATED, REPLACED, UNWANTED, Summary

SILENT_AFTER = 2.0
"""Seconds without a frame after which a camera is called silent."""

MANY_DROPS = 0.5
"""The share of frames dropped for a fault, within a second, that is worth a WARN."""

BENIGN = (REPLACED, UNWANTED, DEACTIVATED)
"""Reasons to drop a frame that are the node's ordinary work."""


@dataclass
class CameraWatch:
    """Turns a camera's account into a status, comparing it with that of a second ago."""

    name: str
    topic: str
    before: Summary | None = None
    heard: float | None = None
    """Seconds on the node's clock when a frame was last seen to have arrived."""

    def status(self, account: Summary, now: float, period: float, fault: str) -> DiagnosticStatus:
        """
        Return the camera's status.

        :param now: seconds on the node's clock.
        :param period: seconds since the last call.
        :param fault: a peer that cannot be connected, in a sentence, or ''.
        """
        before = self.before or account
        if self.heard is None or account.received > before.received or now < self.heard:
            self.heard = now
        self.before = account
        level, message = self._judge(account, before, now, fault)
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

    def _judge(self, account: Summary, before: Summary, now: float,
               fault: str) -> tuple[bytes, str]:
        if fault:
            return DiagnosticStatus.WARN, fault
        if self.heard is not None and now - self.heard > SILENT_AFTER:
            return DiagnosticStatus.WARN, (
                f'no image on {self.topic} for {now - self.heard:.0f} s: is the camera running, '
                'and the topic remapped to it?')
        arrived = account.received - before.received
        faults = {reason: count - before.dropped.get(reason, 0)
                  for reason, count in account.dropped.items() if reason not in BENIGN}
        if arrived and sum(faults.values()) > MANY_DROPS * arrived:
            worst = max(faults, key=lambda reason: faults[reason])
            return DiagnosticStatus.WARN, (
                f'{sum(faults.values())} of {arrived} frames dropped, most as {worst}: the log '
                'names the reason')
        if account.dropped.get(UNWANTED, 0) > before.dropped.get(UNWANTED, 0):
            return DiagnosticStatus.OK, 'resting: nobody subscribes'
        return DiagnosticStatus.OK, 'depth is published'


def model_status(name: str, facts: dict[str, Any], warning: str) -> DiagnosticStatus:
    """Return the model's status: its facts, and WARN with the core's last warning if any."""
    level = DiagnosticStatus.WARN if warning else DiagnosticStatus.OK
    return DiagnosticStatus(level=level, name=name, message=warning or 'loaded',
                            hardware_id=str(facts['device']), values=_values(facts))


def _values(facts: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in facts.items()]
