# SPDX-License-Identifier: Apache-2.0
"""One camera's safety monitor: faults that only its images and depth show, each with a number."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

import numpy as np

from ..core.frame import Depth, Image
from ..core.monitor.alarm import Alarm, RecentCount
from ..core.monitor.cover import Coverage
from ..core.monitor.look import look_at
from ..core.monitor.still import Stillness
from ..core.validity import out_of_range_share, unknown_share
from .monitor_checks import CHECKS, MonitorSettings

LOGGER = logging.getLogger(__name__)

PERIOD = 0.2
"""Seconds between looks at a camera's images; a look takes about a millisecond."""

STALE = 10.0
"""Seconds after which a look says nothing of now: nobody subscribes, or the camera is silent."""

SAMPLES = 20_000
"""Pixels of a depth image that its shares are counted over, about."""

HIDES = {'dark': ('blurred', 'covered', 'frozen'), 'saturated': ('blurred', 'covered', 'frozen'),
         'covered': ('blurred',)}
"""What cannot be told beside a fault, so that one cause is one WARN: what is black has no noise
either, and what lies on a lens is out of focus."""


CHANGES = 'domain_changes'
"""The check that needs no image: its alarm is moved by diagnostics, all others by looks, or one
bad image would last until the next."""

UNKNOWN = 'unknown'
"""What the key ``monitor`` says where no image was looked at."""


@dataclass
class State:
    """What is remembered of a camera; it begins anew where its images do."""

    looked: float | None = None
    stamp: float = 0.0
    coverage: Coverage = field(default_factory=Coverage)
    stillness: Stillness = field(default_factory=Stillness)
    changes: RecentCount = field(default_factory=RecentCount)
    measures: dict[str, float | None] = field(default_factory=dict)
    """The newest, under the names of :data:`CHECKS`; None where an image cannot tell."""
    alarms: dict[str, Alarm] = field(default_factory=lambda: {name: Alarm() for name in CHECKS})

    def look(self, image: Image, stamp: float, now: float) -> None:
        """Measure an image; one that repeats the stamp of the last is not taken for frozen."""
        look = look_at(image)
        still = self.stillness.observe(look.sample, now) if stamp != self.stamp else 0.0
        self.looked, self.stamp = now, stamp
        self.measures |= {'dark': look.luma, 'saturated': look.saturated, 'frozen': still,
                          'blurred': look.sharpness,
                          'covered': self.coverage.observe(look.tiles, now)}

    def count(self, depth: Depth) -> None:
        """Measure a depth image, by pixels that stand for the others."""
        step = max(1, int(np.sqrt(depth.size / SAMPLES)))
        seen = depth[::step, ::step]
        self.measures |= {'unknown': unknown_share(seen),
                          'out_of_range': out_of_range_share(seen)}


class CameraMonitor:
    """Looks at what one camera is served; fed by the worker, asked by diagnostics."""

    def __init__(self, name: str) -> None:
        """:param name: the camera's for the log; '' for the only one."""
        self.settings = MonitorSettings()
        self._name, self._lock, self._state = name or 'camera', Lock(), State()

    def reset(self) -> None:
        """Forget the images so far."""
        with self._lock:
            self._state = State()

    def observe(self, image: Image, depth: Depth, stamp: float, now: float | None = None) -> None:
        """
        Look at an image and its depth, every :data:`PERIOD` at most.

        :param image: uint8 RGB, H×W×3.
        :param depth: float32, h×w, as it is published: NaN and Inf by REP 117.
        :param stamp: seconds of the capture; 0 where it has none.
        :param now: seconds on a clock that does not jump; None is time.monotonic.
        """
        now = monotonic() if now is None else now
        with self._lock:
            state = self._fresh(now)
            if state.looked is None or now - state.looked >= PERIOD:
                state.look(image, stamp, now)
                state.count(depth)
                self._update(now, [name for name in state.measures if name != CHANGES])

    def diagnose(self, domain_changes: int, now: float | None = None, *,
                 others: Iterable[str] = ()) -> tuple[list[str], dict[str, str]]:
        """
        Return what is wrong, each in a sentence, and the measures under their names there.

        The key ``monitor`` holds the faults' names; ``ok`` where there are none, and ``unknown``
        where no image was looked at lately.

        :param domain_changes: how often another metric head took over so far.
        :param now: seconds on a clock that does not jump; None is time.monotonic.
        :param others: the names of faults that were found elsewhere.
        """
        now = monotonic() if now is None else now
        with self._lock:
            state = self._fresh(now)
            if state.looked is None:
                return [], {'monitor': ', '.join([UNKNOWN, *others])}
            state.measures[CHANGES] = float(state.changes.observe(domain_changes, now))
            self._update(now, [CHANGES])
            active = [name for name, alarm in state.alarms.items() if alarm.active]
            named = ', '.join([*(CHECKS[name].name for name in active), *others])
            return [self._sentence(name, now) for name in active], {
                'monitor': named or 'ok',
                **{CHECKS[name].key: CHECKS[name].shown(value)
                   for name, value in state.measures.items()}}

    def _fresh(self, now: float) -> State:
        """Return what is remembered, unless that is too old."""
        if self._state.looked is not None and now - self._state.looked > STALE:
            self._state = State()
        return self._state

    def _update(self, now: float, names: Iterable[str]) -> None:
        """Hold new measures against their limits; log what is over."""
        beyond = {name: CHECKS[name].is_fault(value, getattr(self.settings, name))
                  for name, value in self._state.measures.items()}
        beyond |= dict.fromkeys(
            (hidden for name, others in HIDES.items() if beyond[name] for hidden in others), False)
        for name in names:
            alarm = self._state.alarms[name]
            began = alarm.since
            if alarm.update(beyond[name], now) and not alarm.active:
                LOGGER.info('%s: %s is over after %.0f s', self._name, CHECKS[name].name,
                            alarm.since - began)

    def _sentence(self, name: str, now: float) -> str:
        return CHECKS[name].sentence(self._state.measures[name],
                                     now - self._state.alarms[name].since)
