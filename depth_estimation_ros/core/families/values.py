# SPDX-License-Identifier: Apache-2.0
"""Numbers of an image processor's settings, or a line that names the one that means nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Three = tuple[float, float, float]


def whole(name: str, value: Any) -> int:
    """
    Return a whole number above 0.

    :param name: what the file calls it.
    :raises ValueError: naming it, where it is anything else.
    """
    number = _number(value)
    if not number.is_integer() or number < 1:
        raise ValueError(f'{name} is {value!r}, not a whole number above 0')
    return int(number)


def positive(name: str, value: Any) -> float:
    """Return a finite number above 0; :raises ValueError: naming it, where it is none."""
    number = _number(value)
    if not 0 < number < math.inf:
        raise ValueError(f'{name} is {value!r}, not a number above 0')
    return number


def finite(name: str, value: Any) -> float:
    """Return a finite number; :raises ValueError: naming it, where it is none."""
    number = _number(value)
    if not math.isfinite(number):
        raise ValueError(f'{name} is {value!r}, not a number')
    return number


def three(name: str, values: Any, of: Callable[[str, Any], float]) -> Three:
    """
    Return a number for each channel, of one for all or three.

    :param of: reads one of them: :func:`positive` or :func:`finite`.
    :raises ValueError: naming them, where they are not three, or one is not such a number.
    """
    each = values if isinstance(values, (list, tuple)) else (values,) * 3
    if len(each) != 3:
        raise ValueError(f'{name} is {values!r}, not three numbers, one for each channel')
    red, green, blue = (of(name, value) for value in each)
    return red, green, blue


def _number(value: Any) -> float:
    """Return a value as a number; NaN where it is none."""
    try:
        return math.nan if isinstance(value, (bool, str)) else float(value)
    except (OverflowError, TypeError):
        return math.nan
