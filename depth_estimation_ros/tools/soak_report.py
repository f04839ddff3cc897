# SPDX-License-Identifier: Apache-2.0
"""What a soak makes of its readings: figures, a verdict, and a picture of the node's memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt

GROWTH = 0.02
"""The share by which the node's memory may grow between the first quarter and the end."""

MEBI = 1024
"""KiB in a MiB."""


@dataclass
class Readings:
    """The node's process, read now and then."""

    seconds: list[float] = field(default_factory=list)
    """When each reading was taken, since the first."""
    rss_mb: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    first: int = 0
    """The index of the first reading that is measured; what is before warms the node."""
    _started: float = field(default_factory=time.monotonic)

    def read(self, pid: int) -> None:
        """Take one reading from /proc."""
        status = dict(line.split(':', 1) for line in
                      Path(f'/proc/{pid}/status').read_text().splitlines())
        self.seconds.append(round(time.monotonic() - self._started, 1))
        self.rss_mb.append(round(int(status['VmRSS'].split()[0]) / MEBI, 1))
        self.threads.append(int(status['Threads']))
        self.handles.append(len(list(Path(f'/proc/{pid}/fd').iterdir())))

    def begin(self) -> None:
        """Measure from the next reading on."""
        self.first = len(self.rss_mb)

    @property
    def baseline(self) -> int:
        """The index of the reading that the last one is compared with."""
        return self.first + (len(self.rss_mb) - self.first) // 4


def report(readings: Readings, cameras: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """
    Return the figures of report.json.

    :param cameras: by camera, what /diagnostics said of it last.
    """
    totals: dict[str, int] = {}
    for statistics in cameras.values():
        for key, value in statistics.items():
            if key in ('received', 'published') or key.startswith('dropped_'):
                totals[key] = totals.get(key, 0) + int(value)
    dropped = {key.removeprefix('dropped_'): value for key, value in totals.items()
               if key.startswith('dropped_')}
    before, after = readings.rss_mb[readings.baseline], readings.rss_mb[-1]
    threads, handles = readings.threads[readings.first:], readings.handles[readings.first:]
    return {
        'seconds': len(readings.rss_mb) - readings.first, 'seconds_of_building': readings.first,
        'frames_in': totals['received'], 'frames_out': totals['published'], 'dropped': dropped,
        'unaccounted': totals['received'] - totals['published'] - sum(dropped.values()),
        'rss_mb_start': before, 'rss_mb_end': after, 'rss_mb_peak': max(readings.rss_mb),
        'growth': round(after / before - 1, 4),
        'threads': [min(threads), max(threads)], 'file_handles': [min(handles), max(handles)],
        'rss_mb': list(zip(readings.seconds, readings.rss_mb, strict=True))}


def faults(figures: Mapping[str, Any]) -> list[str]:
    """Return what did not add up, each in a sentence."""
    found = []
    if figures['unaccounted']:
        found.append(f'{figures["unaccounted"]} frames are unaccounted for')
    if figures['growth'] > GROWTH:
        found.append(f'memory grew by {figures["growth"]:.1%}, limit {GROWTH:.0%}')
    return found


def picture(readings: Readings, path: Path) -> None:
    """Draw resident memory over time, and the limit that it must keep."""
    figure, axes = plt.subplots(figsize=(8, 4), layout='constrained')
    axes.plot(readings.seconds, readings.rss_mb, label='resident memory')
    start, before = readings.seconds[readings.baseline], readings.rss_mb[readings.baseline]
    axes.plot([start, readings.seconds[-1]], [before * (1 + GROWTH)] * 2, 'r--',
              label=f'limit, {GROWTH:.0%} above the first quarter')
    if readings.first:
        axes.axvspan(0, readings.seconds[readings.first - 1], color='0.9',
                     label='networks are built')
    axes.set(xlabel='s', ylabel='MiB', ylim=(0, None),
             title="The node's memory under four cameras")
    axes.legend(loc='lower right')
    figure.savefig(path)
    plt.close(figure)
