# SPDX-License-Identifier: Apache-2.0
"""
Least squares that a third of wrong measurements does not move.

First the least median of squares (P. J. Rousseeuw, "Least Median of Squares Regression", JASA
1984): of many solutions through as few rows as determine one, that with the least median residual,
which is RANSAC without a tolerance to choose. What lies beyond :data:`OUTLIER` standard deviations
of it is left out, and the others are weighted by P. J. Huber's function (Annals of Mathematical
Statistics, 1964).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .floor import OUTLIER, SIGMA

Numbers = NDArray[np.float64]

HYPOTHESES = 300
"""Solutions tried. With 30 % outliers one in two through two rows is of inliers only."""

MAX_ROWS = 4000
"""How many rows decide between them."""

HUBER = 1.345
"""Standard deviations beyond which a residual counts by its size, no more by its square."""

ITERATIONS = 20

LEAST_NOISE = 1e-6
"""The standard deviation to which residuals are never narrowed further."""


def solve(rows: Numbers, *, seed: int = 0) -> Numbers | None:
    """
    Return the coefficients c for which rows @ c is 1, but for outliers.

    :param rows: N×k, one measurement a row, k 1 or 2.
    :param seed: of the rows that are drawn: the same seed gives the same solution.
    :return: k numbers; None where no rows determine them.
    """
    best = _least_median(rows, np.random.default_rng(seed))
    if best is None:
        return None
    residuals = np.abs(rows @ best - 1)
    sigma = max(SIGMA * float(np.median(residuals)), LEAST_NOISE)
    kept = rows[residuals <= OUTLIER * sigma]
    for _ in range(ITERATIONS):
        distance = np.maximum(np.abs(kept @ best - 1) / sigma, HUBER)
        weights = np.sqrt(HUBER / distance)[:, None]
        solution, _, rank, _ = np.linalg.lstsq(kept * weights, weights[:, 0], rcond=None)
        if rank < rows.shape[1] or np.allclose(solution, best, rtol=1e-9, atol=0):
            break
        best = np.asarray(solution, np.float64)
    return best


def _least_median(rows: Numbers, rng: np.random.Generator) -> Numbers | None:
    """Return the best of many solutions through k rows each."""
    count, size = rows.shape
    if count < size:
        return None
    corners = rows[rng.integers(0, count, (HYPOTHESES, size))]
    corners = corners[np.linalg.cond(corners) < 1e9]
    if not len(corners):
        return None
    solutions = np.linalg.solve(corners, np.ones((len(corners), size, 1)))[..., 0]
    some = rows if count <= MAX_ROWS else rows[rng.choice(count, MAX_ROWS, replace=False)]
    medians = np.median(np.abs(some @ solutions.T - 1), axis=0)
    return np.asarray(solutions[int(np.argmin(medians))])
