# SPDX-License-Identifier: Apache-2.0
"""
The corrections that a reference may support, each as a linear problem in relative errors.

With a model's value v and a reference t in metres, scale and shift in depth make a v + b = t, and
in inverse depth a u + b = 1 / t, u the model's inverse depth (R. Ranftl et al., "Towards Robust
Monocular Depth Estimation", TPAMI 2020, section 5). Divided by the right side both are
w (a u + b) = 1 with w = 1 / t or w = t, whose residuals are shares of the distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .correction import AFFINE, AFFINE_INVERSE, INVERSE, RELATIVE, SCALE, Correction
from .families.base import Quantity
from .reference_pairs import Numbers, Pairs
from .robust_fit import solve

OF_INVERSE = (INVERSE, AFFINE_INVERSE)
"""The kinds whose formula is linear in inverse depth."""


@dataclass(frozen=True)
class Candidate:
    """One way to correct depth."""

    kind: str
    shifted: bool
    """Whether a shift is fitted beside the scale."""

    def __str__(self) -> str:
        """Name it as the field does."""
        where = 'inverse depth' if self.kind in OF_INVERSE else 'depth'
        return f'scale and shift in {where}' if self.shifted else 'scale'

    def fit(self, pairs: Pairs) -> Correction | None:
        """Fit to pairs; None where they determine none, or depth falls where distance rises."""
        coefficients = solve(self._rows(pairs))
        if coefficients is None or not coefficients[0] > 0:
            return None
        slope, offset = float(coefficients[0]), float(coefficients[1]) if self.shifted else 0.0
        if self.kind in OF_INVERSE:
            return Correction(self.kind, 1 / slope, -offset / slope)
        return Correction(self.kind, slope, offset)

    def _rows(self, pairs: Pairs) -> Numbers:
        values = 1 / pairs.values if self.kind == AFFINE_INVERSE else pairs.values
        weights = pairs.metres if self.kind in OF_INVERSE else 1 / pairs.metres
        columns = (weights * values, weights) if self.shifted else (weights * values,)
        return np.stack(columns, axis=1)


CANDIDATES: Mapping[Quantity, tuple[Candidate, ...]] = {
    Quantity.METRES: (Candidate(SCALE, False), Candidate(AFFINE, True),
                      Candidate(AFFINE_INVERSE, True)),
    Quantity.INVERSE_DEPTH: (Candidate(INVERSE, True),),
    Quantity.RELATIVE_DEPTH: (Candidate(RELATIVE, False), Candidate(RELATIVE, True)),
}
"""What is tried for each quantity of a model, the simplest first."""
