# SPDX-License-Identifier: Apache-2.0
"""Corrections are their formulas, and what no formula should do."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.correction import (
    AFFINE,
    AFFINE_INVERSE,
    INVERSE,
    KINDS,
    RELATIVE,
    SCALE,
    Correction,
)
from depth_estimation_ros.core.families.base import Quantity

ONES = np.array([0.5, 1.0, 4.0, np.nan], np.float32)


@pytest.mark.parametrize(('correction', 'expected'), [
    (Correction(SCALE, 2.0), [1.0, 2.0, 8.0]),
    (Correction(AFFINE, 2.0, -1.5), [np.nan, 0.5, 6.5]),
    (Correction(RELATIVE, 0.1, 0.2), [0.25, 0.3, 0.6]),
    (Correction(INVERSE, 6.0, 0.75), [np.nan, 24.0, 6 / 3.25]),
    (Correction(AFFINE_INVERSE, 2.0, 0.5), [2 / 1.5, 4.0, np.nan]),
    (Correction(AFFINE_INVERSE, 2.0, -0.5), [2 / 2.5, 2 / 1.5, 2 / 0.75]),
])
def test_each_kind_is_its_formula(correction: Correction, expected: list[float]) -> None:
    found = correction(ONES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [*expected, np.nan], rtol=1e-6)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('dtype', ['>f4', '<f8', '<u2', '>i2'])
def test_any_numbers_are_taken(kind: str, dtype: str) -> None:
    correction = Correction(kind, 2.0, 0.5 * (kind != SCALE))
    found = correction(np.array([[1, 2, 4]] * 2, dtype)[:, ::-1])
    np.testing.assert_array_equal(found, correction(np.array([[4, 2, 1]] * 2, np.float32)))


@pytest.mark.parametrize('kind', [AFFINE, AFFINE_INVERSE, RELATIVE])
def test_too_far_and_too_near_stay_so(kind: str) -> None:
    marks = np.array([np.inf, -np.inf])
    assert Correction(kind, 2.0, 0.3)(marks).tolist() == marks.tolist()


@pytest.mark.parametrize(('correction', 'said'), [
    (Correction(AFFINE, 1.0, 6.0), 'shift 6 is absurd'),
    (Correction(AFFINE_INVERSE, 1.0, -6.0), 'shift -6 is absurd'),
    (Correction(AFFINE, 30.0, 0.1), 'scale 30 is absurd'),
    (Correction(RELATIVE, 0.0), 'scale 0 .* not usable'),
])
def test_absurd_numbers_are_named(correction: Correction, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        assert not correction.fault(), correction.fault()


@pytest.mark.parametrize('correction', [
    Correction(RELATIVE, 1e-4, 90.0), Correction(INVERSE, 900.0, -40.0),
    Correction(AFFINE, 1.2, -0.3)])
def test_what_has_no_unit_has_any_number(correction: Correction) -> None:
    assert not correction.fault()


def test_every_kind_says_what_it_takes() -> None:
    assert {kind: KINDS[kind].quantity for kind in (SCALE, INVERSE, RELATIVE)} == {
        SCALE: Quantity.METRES, INVERSE: Quantity.INVERSE_DEPTH,
        RELATIVE: Quantity.RELATIVE_DEPTH}
    assert {each.quantity for each in KINDS.values()} == set(Quantity)
