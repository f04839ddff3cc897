# SPDX-License-Identifier: Apache-2.0
"""What turns a model's maps into metres, or into better metres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

SCALE, INVERSE = 'scale', 'inverse'
KINDS: Mapping[str, str] = {
    SCALE: 'metres = scale * value',
    INVERSE: 'metres = scale / (value - shift), NaN where value <= shift',
}
"""The kinds of correction, and their formulas."""

SCALES = (0.05, 20.0)
"""What a scale of metres may be; what lies outside is a wrong unit or a wrong measurement."""


@dataclass(frozen=True)
class Correction:
    """A formula of :data:`KINDS` with its numbers."""

    kind: str
    scale: float
    shift: float = 0.0
    """The value of inverse depth at the horizon; 0 for the kind 'scale'."""

    def fault(self) -> str:
        """Return why these numbers cannot be right, or nothing."""
        if self.kind not in KINDS:
            return f"kind is '{self.kind}': it must be one of {', '.join(KINDS)}"
        if not (isfinite(self.scale) and isfinite(self.shift) and self.scale > 0):
            return f'scale {self.scale:g} and shift {self.shift:g} are not usable numbers'
        if self.kind == SCALE and not SCALES[0] <= self.scale <= SCALES[1]:
            return f'scale {self.scale:g} is absurd: {SCALES[0]:g} to {SCALES[1]:g} is expected'
        if self.kind == SCALE and self.shift:
            return f"shift {self.shift:g} has no meaning for kind '{SCALE}'"
        return ''

    def __call__(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """
        Apply the formula.

        :param values: metres, or inverse depth, as the kind says; any shape.
        :return: float32 metres, NaN where unknown.
        """
        if self.kind == SCALE:
            return np.asarray(values * self.scale, np.float32)
        above = values - self.shift
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.where(above > 0, self.scale / above, np.nan).astype(np.float32)
