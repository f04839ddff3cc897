# SPDX-License-Identifier: Apache-2.0
"""Frame statistics: every frame is published, or dropped for a named reason."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from threading import Lock

import numpy as np

REPLACED = 'replaced'
"""A newer frame of the same camera came before the network was free."""
UNWANTED = 'unwanted'
"""Nobody subscribes to an output."""
PAUSED = 'paused'
"""The enable service has switched the node off."""
RATE_LIMITED = 'rate_limited'
"""The camera is faster than max_rate."""
UNDECODABLE = 'undecodable'
"""The message does not hold the image that it declares."""
UNSUITABLE = 'unsuitable'
"""The image is too small or too elongated for the network."""
TOO_OLD = 'too_old'
"""Captured longer ago than max_age when its depth was ready."""
FAILED = 'failed'
"""The network, what follows it, or the publishing raised an error."""
UNPROMPTED = 'unprompted'
"""The model needs another sensor's depth beside the image, and none of its time and view came."""
UNCALIBRATED = 'uncalibrated'
"""Its depth cannot be made metres: no scale yet, or the calibration is of another camera."""
DEACTIVATED = 'deactivated'
"""The node was deactivated while the frame waited."""

WINDOW = 300
"""Frames over which latencies are summarised."""


@dataclass(frozen=True)
class Summary:
    """A camera's frame statistics at one moment."""

    received: int
    published: int
    dropped: dict[str, int]
    pending: int
    """Frames received and neither published nor dropped yet: waiting or in the network."""
    stages: dict[str, tuple[float, float]]
    """For each stage of a frame its p50 and p99 in milliseconds over the last frames."""
    explanations: dict[str, str]
    """For each reason to drop that has one, why the last frame was dropped for it."""


class FrameStatistics:
    """One camera's counts, written by reception and the worker, read by diagnostics."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._received = self._published = 0
        self._dropped: Counter[str] = Counter()
        self._explanations: dict[str, str] = {}
        self._stages: dict[str, deque[float]] = {}

    def receive(self) -> None:
        """Count a frame that arrived."""
        with self._lock:
            self._received += 1

    def drop(self, reason: str, explanation: str = '') -> None:
        """Count a frame that will not be published, under a reason named above."""
        with self._lock:
            self._dropped[reason] += 1
            if explanation:
                self._explanations[reason] = explanation

    def publish(self, stages: dict[str, float]) -> None:
        """
        Count a published frame.

        :param stages: the seconds that each of its stages took.
        """
        with self._lock:
            self._published += 1
            for stage, seconds in stages.items():
                self._stages.setdefault(stage, deque(maxlen=WINDOW)).append(1e3 * seconds)

    def summary(self) -> Summary:
        """Return the counts so far."""
        with self._lock:
            dropped = dict(self._dropped)
            stages = {stage: list(values) for stage, values in self._stages.items()}
            received, published = self._received, self._published
            explanations = dict(self._explanations)
        return Summary(
            received, published, dropped, received - published - sum(dropped.values()),
            {stage: (float(np.percentile(values, 50)), float(np.percentile(values, 99)))
             for stage, values in stages.items()}, explanations)
