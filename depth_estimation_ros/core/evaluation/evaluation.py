# SPDX-License-Identifier: Apache-2.0
"""The errors of many images: all together, by range of the truth, and by region of the image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from .metrics import DepthMetrics, ErrorSums, error_sums, mean_metrics
from .protocol import Compared, Protocol, prepare

RANGES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, inf)
"""Metres; the limits of the buckets of range."""

ROWS, COLUMNS = ('top', 'middle', 'bottom'), ('left', 'centre', 'right')
"""The thirds of the image."""

MASKED = ('objects', 'background')
"""What a mask marks, and the rest."""

UNIT_FACTOR = 100
"""From which ratio of the medians on two maps are said to be in different units."""


def range_name(near: float, far: float) -> str:
    """Return what a bucket is called."""
    return f'{near:g} m on' if far == inf else f'{near:g} to {far:g} m'


class Evaluation:
    """Compares image after image and keeps sums only."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.known = 0
        """How many pixels had truth that counts."""
        self.images: list[dict[str, ErrorSums]] = []
        self._ratios: list[float] = []

    def add(self, prediction: NDArray[np.floating], truth: NDArray[np.floating],
            objects: NDArray[np.bool_] | None = None) -> DepthMetrics:
        """
        Compare one image.

        :param prediction: metres, H×W.
        :param truth: metres, H×W; 0, negative, NaN and Inf mean unknown.
        :param objects: H×W, which pixels show objects; the others are background.
        :return: its errors.
        :raises ValueError: the shapes differ.
        """
        compared = prepare(prediction, truth, self.protocol)
        sums = {name: error_sums(compared.predicted[part], compared.actual[part])
                for name, part in (*_parts(compared), *_masked(compared, objects))}
        self.images.append(sums)
        self.known += compared.known
        if compared.actual.size:
            self._ratios.append(compared.scale)
        return sums['all'].metrics()

    @property
    def coverage(self) -> float:
        """The share of the pixels with truth that have a prediction."""
        compared = sum(sums['all'].pixels for sums in self.images)
        return compared / self.known if self.known else float('nan')

    @property
    def median_ratio(self) -> float:
        """The median over the images of median(truth) / median(prediction), where both count."""
        return float(np.median(self._ratios)) if self._ratios else float('nan')

    def unit_fault(self) -> str:
        """Return what looks wrong with the units, or nothing."""
        if self.median_ratio > UNIT_FACTOR:
            larger, smaller, ratio = 'truth', 'prediction', self.median_ratio
        elif self.median_ratio < 1 / UNIT_FACTOR:
            larger, smaller, ratio = 'prediction', 'truth', 1 / self.median_ratio
        else:
            return ''
        return (f"the {larger} looks like millimetres: its median is {ratio:.0f} times the "
                f"{smaller}'s")

    def per_image(self) -> dict[str, DepthMetrics]:
        """Return the mean over the images of each group's errors."""
        groups: dict[str, list[DepthMetrics]] = defaultdict(list)
        for sums in self.images:
            for name, part in sums.items():
                groups[name].append(part.metrics())
        return {name: mean_metrics(results) for name, results in groups.items()}

    def pooled(self) -> dict[str, DepthMetrics]:
        """Return the errors over the pixels of all images together, of each group."""
        groups: dict[str, ErrorSums] = defaultdict(ErrorSums)
        for sums in self.images:
            for name, part in sums.items():
                groups[name] += part
        return {name: part.metrics() for name, part in groups.items()}


def _parts(compared: Compared) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name of each group and which of the compared pixels are in it."""
    yield 'all', np.ones(compared.actual.shape, np.bool_)
    for near, far in pairwise(RANGES):
        yield range_name(near, far), (compared.actual >= near) & (compared.actual < far)
    rows, columns = np.nonzero(compared.mask)
    for names, places, side in ((ROWS, rows, compared.mask.shape[0]),
                                (COLUMNS, columns, compared.mask.shape[1])):
        third = 3 * places // side
        yield from ((name, third == number) for number, name in enumerate(names))


def _masked(compared: Compared,
            objects: NDArray[np.bool_] | None) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if objects is not None:
        inside = objects[compared.mask]
        yield from zip(MASKED, (inside, ~inside), strict=True)
