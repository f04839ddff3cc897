# SPDX-License-Identifier: Apache-2.0
"""Least squares that outliers do not move."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.robust_fit import solve

RNG = np.random.default_rng(5)


def rows(coefficients: tuple[float, ...], count: int = 500, noise: float = 0.0) -> np.ndarray:
    """Rows whose product with the coefficients is 1, but for noise."""
    made = RNG.uniform(0.5, 3.0, (count, len(coefficients)))
    rest = made[:, 1:] @ np.array(coefficients[1:])
    made[:, 0] = (RNG.normal(1, noise, count) - rest) / coefficients[0]
    return made


def solved(made: np.ndarray, seed: int = 0) -> tuple[float, ...]:
    found = solve(made, seed=seed)
    assert found is not None
    return tuple(found.tolist())


@pytest.mark.parametrize('coefficients', [(1.7,), (0.8, -0.2), (0.3, 0.4)])
@pytest.mark.parametrize('share', [0.0, 0.3, 0.45])
def test_exact_rows_are_solved_whatever_the_others_say(coefficients, share) -> None:
    made = rows(coefficients)
    made[:int(share * len(made))] *= 3
    assert solved(made) == pytest.approx(coefficients, rel=1e-6)


def test_outliers_on_one_side_do_not_pull() -> None:
    made = rows((0.8, -0.2), 4000, noise=0.03)
    made[:1200] *= RNG.uniform(1.1, 4, (1200, 1))
    assert solved(made) == pytest.approx((0.8, -0.2), rel=0.02)


def test_many_rows_are_all_used() -> None:
    spreads = [np.std([solved(rows((1.0,), count, noise=0.1), seed) for seed in range(20)])
               for count in (500, 50_000)]
    assert spreads[1] < spreads[0] / 4


@pytest.mark.parametrize('made', [np.zeros((0, 2)), np.ones((1, 2)), np.ones((50, 2)),
                                  np.zeros((50, 1))], ids=['none', 'one', 'alike', 'zeros'])
def test_what_determines_nothing_is_none(made: np.ndarray) -> None:
    assert solve(made) is None
