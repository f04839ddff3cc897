# SPDX-License-Identifier: Apache-2.0
"""Receiver operating characteristics (T. Fawcett, Pattern Recognition Letters 27, 2006)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Roc:
    """The measures of healthy and of faulty images; larger is worse."""

    healthy: Values
    faulty: Values

    @property
    def auc(self) -> float:
        """How often a faulty image looks worse than a healthy one; as bad counts half."""
        worse = self.faulty[:, None] > self.healthy
        return float((worse + 0.5 * (self.faulty[:, None] == self.healthy)).mean())

    def rates(self, limit: float) -> tuple[float, float]:
        """Return the true and the false positive rate of what lies above a limit."""
        return float((self.faulty > limit).mean()), float((self.healthy > limit).mean())

    def limit(self, false_alarms: float) -> float:
        """Return the least limit above which no larger share of the healthy lies."""
        return float(np.quantile(self.healthy, 1 - false_alarms, method='higher'))

    def curve(self) -> tuple[Values, Values]:
        """Return false and true positive rates by falling limits, from (0, 0) to (1, 1)."""
        limits = np.unique(np.concatenate([self.healthy, self.faulty]))[::-1]
        rates = np.array([(0.0, 0.0), *(self.rates(limit)[::-1] for limit in limits), (1.0, 1.0)])
        return rates[:, 0], rates[:, 1]
