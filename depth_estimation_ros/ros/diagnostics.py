# SPDX-License-Identifier: Apache-2.0
"""The node seen from outside: a status a camera and one for the model, once a second."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from ..core.device import device_name
from ..core.estimator import DepthEstimator
from .calibrations import CameraCalibration
from .frame_statistics import (
    DEACTIVATED,
    PAUSED,
    RATE_LIMITED,
    REPLACED,
    UNWANTED,
    Summary,
)
from .monitor import CameraMonitor

SILENT_AFTER = 2.0
"""Seconds without a frame after which a camera is called silent."""

STARTING = 60.0
"""Seconds that a camera which has never been heard has before the log names it."""

MANY_DROPS = 0.5
"""The share of frames dropped for a fault, within a second, that is worth a WARN."""

NO_CLOCK = ('use_sim_time is set, but no /clock has come, or it stands at 0: play the bag with '
            '--clock, start the simulator, or leave use_sim_time out')

IDLE = {UNWANTED: 'idle: nobody subscribes', PAUSED: 'paused by the enable service'}
"""What a camera does whose frames are dropped for these reasons."""

BENIGN = (REPLACED, DEACTIVATED, RATE_LIMITED, *IDLE)
"""Reasons to drop a frame that are the node's ordinary work."""


@dataclass
class CameraWatch:
    """Turns a camera's frame statistics into a status, comparing them with a second ago."""

    name: str
    topic: str
    warn: Callable[[str], None]
    """Called with each fault of the topics and of the depth when it begins."""
    before: Summary | None = None
    heard: float | None = None
    """Seconds on the node's clock when a frame was last seen to have arrived."""
    known: set[str] = field(default_factory=set)
    """The faults of a second ago, without the numbers in them."""
    trouble: tuple[bytes, str] = (DiagnosticStatus.OK, '')
    """What was wrong with the last frames that were dealt with; a slow camera's may be old."""

    def status(self, summary: Summary, now: float, period: float,
               faults: list[str], calibration: CameraCalibration | None = None,
               domain: tuple[str, int] = ('', 0),
               facts: Mapping[str, str] = MappingProxyType({}),
               monitor: CameraMonitor | None = None) -> DiagnosticStatus:
        """
        Return the camera's status.

        :param now: seconds on the node's clock; 0 before the first /clock.
        :param period: seconds since the last call.
        :param faults: what is wrong with the camera's topics, each in a sentence.
        :param calibration: the camera's, where it has one.
        :param domain: the metric head that serves the camera, '' where there is no choice, and how
            often another one took over.
        :param facts: what else is known of the camera.
        :param monitor: what looks at its images and depth.
        """
        before = self.before or summary
        if self.heard is None or summary.received > before.received or now < self.heard:
            self.heard = now
        self.before = summary
        known = calibration.faults if calibration else {}
        seen, measures = self._seen(monitor, domain[1], known, idle=bool(_idle(summary, before)))
        faults = [*([] if now else [NO_CLOCK]), *faults, *seen,
                  *(f'{name}: {fault}' for name, fault in known.items())]
        silence = self._silence(now)
        self._log([*faults, *(silence if self._is_missed(summary, now) else [])])
        faults = [*silence, *faults]
        level, problem = self._problem(summary, before)
        if faults:
            level = max(level, DiagnosticStatus.WARN)
        problems = [*faults, *filter(None, [problem])]
        message = '; '.join(problems) or _calm(summary, before)
        return DiagnosticStatus(
            level=level, name=self.name, message=message, hardware_id=self.topic,
            values=_values({
                'input_hz': f'{(summary.received - before.received) / period:.1f}',
                'output_hz': f'{(summary.published - before.published) / period:.1f}',
                **(calibration.facts if calibration else {}), **facts,
                **({'domain': domain[0], 'domain_changes': domain[1]} if domain[0] else {}),
                **measures,
                'received': summary.received, 'published': summary.published,
                **{f'dropped_{reason}': count for reason, count in summary.dropped.items()},
                'seconds_since_last_frame': f'{now - self.heard:.1f}',
                **{f'{stage}_ms_{quantile}': f'{value:.1f}'
                   for stage, pair in summary.stages.items()
                   for quantile, value in zip(('p50', 'p99'), pair, strict=True)}}))

    @staticmethod
    def _seen(monitor: CameraMonitor | None, domain_changes: int, others: Iterable[str], *,
              idle: bool) -> tuple[list[str], dict[str, str]]:
        """Return the monitor's faults and measures; it forgets the images of before a pause."""
        if monitor is None:
            return [], {}
        if idle:
            monitor.reset()
        return monitor.diagnose(domain_changes, others=others)

    def _log(self, faults: list[str]) -> None:
        """Log the faults that were not there a second ago."""
        now = {re.sub(r'[\d.]+', '', fault): fault for fault in faults}
        for kind, fault in now.items():
            if kind not in self.known:
                self.warn(fault if self.topic in fault else f'{self.topic}: {fault}')
        self.known = set(now)

    def _silence(self, now: float) -> list[str]:
        """Name a camera that sends nothing."""
        silence = now - self.heard if self.heard is not None else 0.0
        return [] if silence <= SILENT_AFTER else [
            f'no image on {self.topic} for {silence:.0f} s: is the camera running, and the topic '
            'remapped to it?']

    def _is_missed(self, summary: Summary, now: float) -> bool:
        """Whether a silent camera is worth a line: one that is yet to start is given time."""
        return bool(summary.received) or now - (self.heard or now) > STARTING

    def _problem(self, summary: Summary, before: Summary) -> tuple[bytes, str]:
        """Return what is wrong with the last frames that were dealt with, and how badly."""
        served = summary.published - before.published
        faults = {reason: count - before.dropped.get(reason, 0)
                  for reason, count in summary.dropped.items() if reason not in BENIGN}
        lost = sum(faults.values())
        seen = max(summary.received - before.received, lost + served)  # some came seconds ago
        if lost > MANY_DROPS * seen:
            worst = max(faults, key=lambda reason: faults[reason])
            why = summary.explanations.get(worst, 'the log names the reason')
            self.trouble = (DiagnosticStatus.WARN if served else DiagnosticStatus.ERROR,
                            f'{lost} of {seen} frames dropped, most as {worst}: {why}')
        elif served or _idle(summary, before):
            self.trouble = DiagnosticStatus.OK, ''
        return self.trouble


def _idle(summary: Summary, before: Summary) -> str:
    """Say why a camera's frames were not wanted within the last second, or ''."""
    return next((words for reason, words in IDLE.items()
                 if summary.dropped.get(reason, 0) > before.dropped.get(reason, 0)), '')


def _calm(summary: Summary, before: Summary) -> str:
    """Say what a camera without a problem is doing."""
    return _idle(summary, before) or (
        'depth is published' if summary.published else
        'images come, the first depth is yet to be published' if summary.received else
        'waiting for the first image')


def model_facts(estimator: DepthEstimator) -> dict[str, str]:
    """Return what a user may want to know of the model that serves."""
    return {'model': estimator.loaded.name, 'device': device_name(estimator.device),
            'precision': estimator.precision, 'domain': estimator.domain,
            'gives': estimator.family.quantity.value, 'backend': estimator.backend,
            'building': str(estimator.building).lower(),
            'device_mb': f'{estimator.device_bytes / 2**20:.0f}'}


def model_status(name: str, facts: dict[str, Any], warning: str) -> DiagnosticStatus:
    """Return the model's status: its facts, and WARN with the core's last warning if any."""
    level = DiagnosticStatus.WARN if warning else DiagnosticStatus.OK
    return DiagnosticStatus(level=level, name=name, message=warning or 'loaded',
                            hardware_id=str(facts['device']), values=_values(facts))


def _values(facts: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in facts.items()]
