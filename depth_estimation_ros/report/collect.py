# SPDX-License-Identifier: Apache-2.0
"""Figures and frames of any number of depth maps, in memory that does not grow with their size."""

from __future__ import annotations

import heapq
from array import array
from dataclasses import dataclass

import numpy as np

from ..core.calibration import same_aspect
from ..core.evaluation.metrics import valid_pixels
from ..core.reference_pairs import nearest_pixels
from .description import Depth, Histogram

WIDEST = 320
"""Columns of a frame in the page, at most."""

SAMPLES, WORST = 8, 4
"""Frames that are shown, evenly spaced and of each kind of worst."""

BIN, FARTHEST = 0.05, 250.0
"""Metres; what is farther counts in the last bin."""

BARS = 60
"""Bins that are drawn, about."""


@dataclass(frozen=True)
class Moment:
    """A frame that may be shown."""

    number: int
    """Its place among the frames with depth, from 0."""
    name: str
    stamp: int
    """Nanoseconds; 0 of files."""
    depth: Depth
    """Every ``step``-th pixel."""
    truth: Depth | None
    """Of the size of ``depth``."""
    step: int
    unknown: float
    abs_rel: float


class Worst:
    """Keeps the frames with the largest of a figure."""

    def __init__(self, most: int = WORST) -> None:
        self._most = most
        self._heap: list[tuple[float, int, Moment]] = []

    def add(self, figure: float, moment: Moment) -> None:
        """Keep a frame if its figure is among the largest; one of 0, or none, is not bad."""
        if figure > 0:
            heapq.heappush(self._heap, (figure, -moment.number, moment))
            if len(self._heap) > self._most:
                heapq.heappop(self._heap)

    @property
    def moments(self) -> list[Moment]:
        """The frames, the worst first."""
        return [moment for _, _, moment in sorted(self._heap, reverse=True)]


class Even:
    """Keeps frames in equal distances over a run whose end is not known."""

    def __init__(self, most: int = SAMPLES) -> None:
        self._most, self._stride = most, 1
        self._kept: list[Moment] = []

    def add(self, moment: Moment) -> None:
        """Keep every so many, and more seldom the longer the run is."""
        if moment.number % self._stride == 0:
            self._kept.append(moment)
            if len(self._kept) > 2 * self._most:
                self._kept = self._kept[::2]
                self._stride *= 2

    @property
    def moments(self) -> list[Moment]:
        """The frames, from the first on."""
        count = min(self._most, len(self._kept))
        return [self._kept[round(place)]
                for place in np.linspace(0, len(self._kept) - 1, count)] if count else []


class Collected:
    """What a report says of one stream of depth."""

    def __init__(self, axis: str = 'seconds') -> None:
        """
        Begin without a frame.

        :param axis: 'seconds' since the first frame, or 'frame' where there are no times.
        """
        self.axis = axis
        self.places, self.gap_ms, self.delay_ms = array('d'), array('d'), array('d')
        """Of each frame: by the axis; since the capture before; from capture to recording."""
        self.unknown, self.outside, self.abs_rel = array('d'), array('d'), array('d')
        """Shares of its pixels that are NaN and that are Inf; its error, NaN without truth."""
        self.even = Even()
        self.most_unknown, self.most_wrong = Worst(), Worst()
        self.notes: list[str] = []
        """What is at fault."""
        self.remarks: list[str] = []
        """How the error was found."""
        self._bins = np.zeros(round(FARTHEST / BIN), np.int64)
        self._pixels = self._valid = 0
        self._first: int | None = None
        self._last = 0

    @property
    def frames(self) -> int:
        """How many frames have depth."""
        return len(self.unknown)

    @property
    def moments(self) -> list[Moment]:
        """All frames that are shown."""
        return [*self.even.moments, *self.most_unknown.moments, *self.most_wrong.moments]

    def add(self, depth: Depth, *, name: str = '', stamp: int = 0, time: int = 0,
            truth: Depth | None = None) -> None:
        """
        Take a frame.

        :param stamp: nanoseconds, when it was captured.
        :param time: nanoseconds, when it was recorded.
        """
        self._first = time if self._first is None else self._first
        self.places.append(self.frames if self.axis == 'frame' else (time - self._first) / 1e9)
        self.gap_ms.append((stamp - self._last) / 1e6 if self.frames else float('nan'))
        self.delay_ms.append((time - stamp) / 1e6)
        self._last = stamp
        self._count(depth)
        self.abs_rel.append(self._error(depth, truth))
        moment = self._moment(depth, truth, name, stamp)
        self.even.add(moment)
        self.most_unknown.add(moment.unknown, moment)
        self.most_wrong.add(moment.abs_rel, moment)

    def _count(self, depth: Depth) -> None:
        finite = depth[np.isfinite(depth)]
        self.unknown.append(np.count_nonzero(np.isnan(depth)) / max(depth.size, 1))
        self.outside.append(np.count_nonzero(np.isinf(depth)) / max(depth.size, 1))
        self._pixels += depth.size
        self._valid += finite.size
        places = np.clip(finite / BIN, 0, len(self._bins) - 1).astype(np.int64)
        self._bins += np.bincount(places, minlength=len(self._bins))

    def _error(self, depth: Depth, truth: Depth | None) -> float:
        """Return AbsRel, of all pixels; NaN where nothing can be compared."""
        if truth is None:
            return float('nan')
        (height, width), (rows, columns) = depth.shape, truth.shape
        if not same_aspect((width, height), (columns, rows)):
            self._note(self.notes, f'depth of {width}x{height} and ground truth of '
                       f'{columns}x{rows} are not of one view: no error is given')
            return float('nan')
        if depth.shape != truth.shape:
            self._note(self.remarks, f'Depth of {width}x{height} is compared with ground truth '
                       f'of {columns}x{rows} by the nearest pixel.')
            depth = nearest_pixels(depth, (rows, columns))
        valid = valid_pixels(depth, truth)
        return float(np.mean(np.abs(depth[valid] / truth[valid] - 1))) if valid.any() else (
            float('nan'))

    @staticmethod
    def _note(notes: list[str], text: str) -> None:
        if text not in notes:
            notes.append(text)

    def _moment(self, depth: Depth, truth: Depth | None, name: str, stamp: int) -> Moment:
        step = -(-depth.shape[1] // WIDEST)
        small = depth[::step, ::step].copy()
        shown = None if truth is None else nearest_pixels(truth, (small.shape[0], small.shape[1]))
        return Moment(self.frames - 1, name, stamp, small, shown, step, self.unknown[-1],
                      self.abs_rel[-1])

    @property
    def known(self) -> float:
        """The share of all pixels that have a distance."""
        return self._valid / self._pixels if self._pixels else float('nan')

    def quantile(self, share: float) -> float:
        """Return the metres within which a share of the distances is, to half a bin."""
        if not self._valid:
            return float('nan')
        return BIN * (float(np.searchsorted(np.cumsum(self._bins), share * self._valid)) + 0.5)

    def histogram(self, title: str) -> Histogram | None:
        """Return the distances as far as any is, in about :data:`BARS` bins."""
        used = np.flatnonzero(self._bins)
        if not used.size:
            return None
        first, last = int(used[0]), int(used[-1]) + 1
        width = -(-(last - first) // BARS)
        bars = -(-(last - first) // width)
        counts = np.pad(self._bins, (0, width))[first:first + bars * width]
        shares = 100 * counts.reshape(bars, width).sum(axis=1) / self._valid
        return Histogram(title, [BIN * (first + width * bar) for bar in range(bars + 1)],
                         shares.tolist(), '% of distances')
