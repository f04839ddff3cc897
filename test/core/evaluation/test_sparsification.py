# SPDX-License-Identifier: Apache-2.0
"""Sparsification curves whose areas are known by hand."""

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.sparsification import STEPS, sparsification

ERRORS = np.linspace(0, 1, 1001)


def test_an_oracle_leaves_no_gap_and_gains_what_it_can() -> None:
    curve = sparsification(ERRORS, ERRORS)
    assert curve.ause == 0
    # of errors spread evenly the mean of the least part p is p times that of all
    parts = 1 - np.arange(STEPS) / STEPS
    np.testing.assert_allclose(curve.oracle, parts, atol=2e-3)
    assert curve.aurg == pytest.approx(np.mean(1 - parts), abs=2e-3)


def test_the_opposite_of_an_oracle_is_worse_than_chance() -> None:
    curve = sparsification(ERRORS, -ERRORS)
    assert curve.aurg < -0.4 and curve.ause > 0.9


def test_chance_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    errors = rng.random((100, 100))
    assert sparsification(errors, rng.random((100, 100))).aurg == pytest.approx(0, abs=0.02)


def test_two_kinds_of_pixels_by_hand() -> None:
    errors = np.repeat([0.0, 1.0], 50)  # the uncertain half is the wrong half
    curve = sparsification(errors, np.repeat([0.1, 0.9], 50))
    left_out = np.arange(STEPS) / STEPS
    expected = np.maximum(0.5 - left_out, 0) / (1 - left_out) / 0.5
    np.testing.assert_allclose(curve.uncertainty, expected, atol=1e-12)


@pytest.mark.parametrize('errors', [ERRORS, ERRORS[::-1]])
def test_what_is_equally_uncertain_is_left_out_as_by_chance(errors: np.ndarray) -> None:
    curve = sparsification(errors, np.full(errors.shape, 0.3))
    assert curve.aurg == pytest.approx(0, abs=1e-9)
    assert curve.oracle[-1] < 0.1
    two = sparsification(errors, np.where(errors > 0.5, np.nan, 0.3))  # two kinds, in any order
    assert two.uncertainty[0] == pytest.approx(1) and two.uncertainty[-1] == pytest.approx(0.5)


def test_what_is_not_known_is_left_out_or_uncertain_first() -> None:
    errors = np.array([np.nan, 1.0, 0.0, 0.0])
    curve = sparsification(errors, np.array([0.0, np.nan, 0.2, 0.1]))
    assert curve.ause == 0 and curve.uncertainty[0] == 1 and curve.uncertainty[-1] == 0


@pytest.mark.parametrize('errors', [[], [np.nan], [0.0, 0.0]])
def test_without_errors_there_is_no_curve(errors: list[float]) -> None:
    with pytest.raises(ValueError, match='some above 0'):
        sparsification(np.array(errors), np.array(errors))
