# SPDX-License-Identifier: Apache-2.0
"""
How well an uncertainty tells wrong depth from right.

The pixels with the largest uncertainty are left out step by step, and the mean error of the others
is drawn over the share that is left out: the sparsification curve. The curve of an oracle leaves
the largest errors out first. M. Poggi et al., On the Uncertainty of Self-Supervised Monocular
Depth Estimation, CVPR 2020, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 50
"""Points of a curve, 2 % of the pixels apart."""

Map = NDArray[np.floating]


@dataclass(frozen=True)
class Sparsification:
    """Two curves, each relative to the mean error of all pixels."""

    uncertainty: NDArray[np.float64]
    oracle: NDArray[np.float64]

    @property
    def ause(self) -> float:
        """The area under the sparsification error, the gap to the oracle: 0 is perfect."""
        return float(np.mean(self.uncertainty - self.oracle))

    @property
    def aurg(self) -> float:
        """The area under the random gain: what it is better than chance; 0 is chance."""
        return float(np.mean(1 - self.uncertainty))


def sparsification(errors: Map, uncertainty: Map) -> Sparsification:
    """
    Compare errors with what should tell them.

    :param errors: not negative, of any shape, NaN where the truth is not known.
    :param uncertainty: of the same shape, larger for less sure; NaN counts as the least sure.
    :raises ValueError: where no error is known, or none is above 0.
    """
    known = np.isfinite(errors)
    found = errors[known].astype(np.float64)
    if not found.size or not found.max() > 0:
        raise ValueError('a sparsification needs errors, and some above 0')
    unsure = np.nan_to_num(uncertainty[known], nan=np.inf)
    return Sparsification(_curve(found, unsure), _curve(found, found))


def _curve(errors: NDArray[np.float64], uncertainty: Map) -> NDArray[np.float64]:
    """
    Return the mean error of the least doubtful, relative to that of all.

    Pixels of one uncertainty have their mean error each: nothing says which of them to leave out.
    """
    _, group, sizes = np.unique(uncertainty, return_inverse=True, return_counts=True)
    surest_first = np.repeat(np.bincount(group, errors) / sizes, sizes)
    means = np.cumsum(surest_first) / np.arange(1, len(errors) + 1)
    kept = len(errors) - len(errors) * np.arange(STEPS) // STEPS
    return np.asarray(means[kept - 1] / means[-1])
