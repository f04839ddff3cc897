# SPDX-License-Identifier: Apache-2.0
"""What turns a model's maps into metres, or into better metres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .families.base import Quantity

SCALE, AFFINE, AFFINE_INVERSE = 'scale', 'affine', 'affine_inverse'
INVERSE, RELATIVE = 'inverse', 'relative'


@dataclass(frozen=True)
class Kind:
    """A kind of correction."""

    formula: str
    quantity: Quantity
    """What the values are that it takes."""


KINDS: Mapping[str, Kind] = {
    SCALE: Kind('metres = scale * value', Quantity.METRES),
    AFFINE: Kind('metres = scale * value + shift, NaN where that is not above 0',
                 Quantity.METRES),
    AFFINE_INVERSE: Kind('metres = scale / (1 / value - shift), NaN where 1 / value <= shift',
                         Quantity.METRES),
    INVERSE: Kind('metres = scale / (value - shift), NaN where value <= shift',
                  Quantity.INVERSE_DEPTH),
    RELATIVE: Kind('metres = scale * value + shift, NaN where that is not above 0',
                   Quantity.RELATIVE_DEPTH),
}
"""The kinds of correction by their names."""

SCALES = (0.05, 20.0)
"""What a scale of metres may be; what lies outside is a wrong unit or a wrong measurement."""

MAX_SHIFT = 5.0
"""How far from 0 a shift of metres (in m), or of their inverse (in 1 / m), may be."""


@dataclass(frozen=True)
class Correction:
    """A formula of :data:`KINDS` with its numbers."""

    kind: str
    scale: float
    shift: float = 0.0
    """In the unit of what it is added to or subtracted from; of inverse depth it is the value at
    the horizon; 0 for the kind 'scale'."""

    def fault(self) -> str:
        """Return why these numbers cannot be right, or nothing."""
        if self.kind not in KINDS:
            return f"kind is '{self.kind}': it must be one of {', '.join(KINDS)}"
        if not (isfinite(self.scale) and isfinite(self.shift) and self.scale > 0):
            return f'scale {self.scale:g} and shift {self.shift:g} are not usable numbers'
        if self.kind == SCALE and self.shift:
            return f"shift {self.shift:g} has no meaning for kind '{SCALE}'"
        return self._absurdity() if self.quantity is Quantity.METRES else ''

    def _absurdity(self) -> str:
        """Return which number is none that metres are corrected by, or nothing."""
        if not SCALES[0] <= self.scale <= SCALES[1]:
            return f'scale {self.scale:g} is absurd: {SCALES[0]:g} to {SCALES[1]:g} is expected'
        if abs(self.shift) > MAX_SHIFT:
            return (f'shift {self.shift:g} is absurd: {-MAX_SHIFT:g} to {MAX_SHIFT:g} is '
                    'expected')
        return ''

    @property
    def quantity(self) -> Quantity:
        """What the values are that it takes."""
        return KINDS[self.kind].quantity

    def __call__(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return :meth:`metres` of an array, of any numbers in any byte order."""
        native = np.require(values, np.result_type(values, np.float32), ['C', 'W'])
        metres: NDArray[np.float32] = self.metres(torch.from_numpy(native)).numpy()
        return metres

    def metres(self, values: Tensor) -> Tensor:
        """
        Apply the formula.

        :param values: what :attr:`quantity` says; any shape. Where they are metres or depth
            without a scale, Inf stays (REP 117).
        :return: float32 metres, NaN where unknown, on the same device.
        """
        if self.kind == SCALE:
            return (values * self.scale).float()
        if self.kind == INVERSE:
            return self._of_inverse(values)
        if self.kind == AFFINE_INVERSE:
            corrected = self._of_inverse(values.reciprocal().where(values > 0, torch.nan))
        else:
            shifted = values * self.scale + self.shift
            corrected = shifted.where(shifted > 0, torch.nan).float()
        return torch.where(values.isinf(), values, corrected).float()

    def _of_inverse(self, values: Tensor) -> Tensor:
        above = values - self.shift
        unknown = ~(above > 0)
        return above.reciprocal_().mul_(self.scale).masked_fill_(unknown, torch.nan).float()


def inverse_depth(values: Tensor, quantity: Quantity) -> Tensor:
    """
    Return relative depth as inverse depth; all else as it is.

    :param values: float32, what ``quantity`` says.
    :return: float32, of the same shape, on the same device; NaN where relative depth is not above
        0.
    """
    if quantity is not Quantity.RELATIVE_DEPTH:
        return values
    return values.reciprocal().where(values > 0, torch.nan)
