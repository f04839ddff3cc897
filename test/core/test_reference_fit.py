# SPDX-License-Identifier: Apache-2.0
"""Scale and shift by a reference: recovered among outliers, no more than the data support."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from depth_estimation_ros.core.reference_fit import (
    CLEARLY_BETTER,
    LEAST_GAIN,
    MAX_ERROR,
    ReferenceFit,
    fit_reference,
    trimmed_error,
)
from depth_estimation_ros.core.reference_pairs import Pairs, UnusableReferenceError

COUNT, FRAMES, LEAST = 3000, 20, 50
METRES, INVERSE_DEPTH = Quantity.METRES, Quantity.INVERSE_DEPTH

VALUES: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    SCALE: lambda metres, scale, shift: metres / scale,
    AFFINE: lambda metres, scale, shift: (metres - shift) / scale,
    AFFINE_INVERSE: lambda metres, scale, shift: 1 / (scale / metres + shift),
    INVERSE: lambda metres, scale, shift: scale / metres + shift,
    RELATIVE: lambda metres, scale, shift: (metres - shift) / scale,
}
"""A model's values of true metres, which the correction of each kind undoes."""


def seen(kind: str, scale: float, shift: float, *, outliers: float = 0.3, noise: float = 0.0,
         near: float = 0.8, far: float = 8.0, seed: int = 1, frames: int = FRAMES) -> Pairs:
    """What a model that needs this correction says, and a reference with outliers."""
    rng = np.random.default_rng(seed)
    metres = np.exp(rng.uniform(np.log(near), np.log(far), COUNT))
    values = VALUES[kind](metres, scale, shift) * rng.normal(1, noise, COUNT)
    wrong = rng.random(COUNT) < outliers
    metres[wrong] *= np.exp(rng.uniform(-1.5, 1.5, wrong.sum()))
    return Pairs(values, metres, np.sort(rng.integers(0, frames, COUNT)))


def fitted(kind: str, pairs: Pairs) -> ReferenceFit:
    return fit_reference(pairs, KINDS[kind].quantity, LEAST)


@settings(max_examples=8, deadline=None)
@given(scale=st.floats(0.3, 3), shift=st.floats(0.1, 0.5), sign=st.sampled_from([-1, 1]),
       seed=st.integers(0, 99))
@pytest.mark.parametrize('kind', [AFFINE, AFFINE_INVERSE, INVERSE, RELATIVE])
def test_scale_and_shift_are_recovered_among_outliers(kind, scale, shift, sign, seed) -> None:
    if kind == AFFINE_INVERSE:
        shift *= scale / 5  # the farthest values stay positive
    found = fitted(kind, seen(kind, scale, sign * shift, seed=seed)).correction
    assert found.kind == kind
    assert (found.scale, found.shift) == pytest.approx((scale, sign * shift), rel=0.01)


@pytest.mark.parametrize(('kind', 'scale', 'shift'), [
    (SCALE, 1.3, 0.0), (AFFINE, 1.3, 0.4), (AFFINE_INVERSE, 1.2, 0.05), (RELATIVE, 0.002, 0.0),
])
def test_the_held_out_half_prefers_what_made_the_depth(kind, scale, shift) -> None:
    found = fitted(kind, seen(kind, scale, shift, noise=0.02))
    assert found.correction.kind == kind and found.held_out
    assert found.correction.scale == pytest.approx(scale, rel=0.02)
    assert found.correction.shift == pytest.approx(shift, rel=0.05, abs=1e-9)
    assert found.after.median < 0.03 and found.spread < 0.01


def test_a_shift_that_helps_little_of_a_large_error_is_left_out() -> None:
    found = fitted(AFFINE, seen(AFFINE, 1.0, 0.05, noise=0.1, outliers=0))
    scale, best = found.errors['scale'], min(found.errors.values())
    assert found.correction.kind == SCALE
    assert CLEARLY_BETTER * scale < best < scale - LEAST_GAIN


def test_a_shift_that_takes_away_a_small_error_is_left_out() -> None:
    found = fitted(AFFINE, seen(AFFINE, 1.0, 0.002, outliers=0))
    scale, best = found.errors['scale'], min(found.errors.values())
    assert found.correction.kind == SCALE
    assert scale - LEAST_GAIN < best < CLEARLY_BETTER * scale


def test_depth_of_nothing_is_no_pair() -> None:
    pairs = seen(SCALE, 1.25, 0.0)
    nothing = np.arange(COUNT) % 5 < 3
    found = fitted(SCALE, Pairs(np.where(nothing, -pairs.values, pairs.values), pairs.metres,
                                pairs.frames))
    assert found.pairs == COUNT * 2 // 5
    assert found.correction.scale == pytest.approx(1.25, rel=0.01)


def test_the_held_out_half_is_not_fitted_to() -> None:
    """What is wrong with the second and fourth stretch shows after, and moves no number."""
    pairs = seen(SCALE, 1.25, 0.0, outliers=0)
    early = pairs[(pairs.frames * 4 // FRAMES) % 2 == 0]
    late = pairs[(pairs.frames * 4 // FRAMES) % 2 == 1]
    off = Pairs(*(np.concatenate(parts) for parts in (
        (early.values, *[late.values * 1.1] * 3), (early.metres, *[late.metres] * 3),
        (early.frames, *[late.frames] * 3))))
    found = fitted(SCALE, off)
    assert found.correction.scale == pytest.approx(1.25, rel=1e-6)
    assert found.after.median == pytest.approx(0.1, abs=1e-6)
    assert found.before is not None and found.before.median == pytest.approx(0.12, abs=1e-6)


def test_one_image_is_parted_by_its_pixels() -> None:
    found = fitted(AFFINE, seen(AFFINE, 1.3, 0.4, frames=1))
    assert found.held_out and found.frames == 1
    assert found.correction.shift == pytest.approx(0.4, rel=0.01)


def test_one_distance_is_a_scale_without_a_test() -> None:
    one = Pairs(np.array([2.0]), np.array([3.0]), np.array([0]))
    found = fit_reference(one, METRES, 1)
    assert found.correction == Correction(SCALE, 1.5) and not found.held_out
    assert found.note.startswith('too narrow a range')


def test_two_distances_in_one_image_make_a_relative_model_metric() -> None:
    values = VALUES[INVERSE](np.array([1.0, 4.0]), 5.0, 2.0)
    found = fit_reference(Pairs(values, np.array([1.0, 4.0]), np.zeros(2, int)), INVERSE_DEPTH, 1)
    assert (found.correction.scale, found.correction.shift) == pytest.approx((5.0, 2.0))
    assert found.before is None


def test_two_distances_in_one_image_tell_metres_no_shift() -> None:
    found = fit_reference(Pairs(np.array([1.0, 4.0]), np.array([1.2, 4.1]), np.zeros(2, int)),
                          METRES, 1)
    assert found.correction.kind == SCALE and 'hold some out' in found.note


def repeated(kind: str, metres: list[float], scale: float, shift: float) -> Pairs:
    """Ten images of the same places, of a model whose depth is off by a percent or two."""
    values = VALUES[kind](np.array(metres), scale, shift) * (
        1 + 0.01 * np.random.default_rng(5).standard_normal(len(metres)))
    count = np.arange(10 * len(metres))
    return Pairs(np.tile(values, 10), np.tile(metres, 10), count // len(metres),
                 count % len(metres))


@pytest.mark.parametrize('count', [1, 2, 4])
def test_few_places_tell_metres_no_shift_however_often_they_are_seen(count: int) -> None:
    pairs = repeated(AFFINE, [1.0, 4.0, 2.0, 3.0][:count], 1.3, 0.3)
    found = fit_reference(pairs, METRES, 1)
    assert found.correction.kind == SCALE and not found.held_out and found.note


def test_two_places_make_a_relative_model_metric_and_nothing_tests_it() -> None:
    found = fit_reference(repeated(INVERSE, [1.0, 4.0], 5.0, 2.0), INVERSE_DEPTH, 1)
    assert found.correction.kind == INVERSE and not found.held_out
    assert 'nothing was held out' in found.note


def test_of_five_places_those_held_out_are_not_fitted_to() -> None:
    pairs = repeated(AFFINE, [1.0, 1.5, 2.5, 4.0, 6.0], 1.3, 0.3)
    found = fit_reference(pairs, METRES, 1)
    assert found.held_out and found.correction.kind == AFFINE and not found.note
    assert pairs.places is not None
    held = np.isin(pairs.places, [1, 3])
    other = Pairs(np.where(held, 1.1, 1) * pairs.values, pairs.metres, pairs.frames, pairs.places)
    assert fit_reference(other, METRES, 1).errors['scale and shift in depth'] > 0.05


def test_too_narrow_a_range_gives_a_scale_only_and_says_so() -> None:
    found = fitted(SCALE, seen(AFFINE, 1.0, 0.5, near=3.0, far=3.5, outliers=0))
    assert found.correction.kind == SCALE and found.errors.keys() == {'scale'}
    assert 'too narrow a range' in found.note


def disagreeing() -> Pairs:
    """Images whose scales differ, as those of a model that normalises each image."""
    pairs = seen(SCALE, 1.0, 0.0, outliers=0)
    factors = np.random.default_rng(2).uniform(0.6, 1.6, FRAMES)
    return Pairs(pairs.values * factors[pairs.frames], pairs.metres, pairs.frames)


def unrelated() -> Pairs:
    pairs = seen(SCALE, 1.0, 0.0)
    rng = np.random.default_rng(3)
    return Pairs(rng.permutation(pairs.values), pairs.metres, pairs.frames)


def times(pairs: Pairs, factor: float) -> Pairs:
    return Pairs(pairs.values, factor * pairs.metres, pairs.frames)


GOOD = seen(SCALE, 1.0, 0.0)
REFUSED: dict[str, tuple[Pairs, Quantity, str]] = {
    'too few': (GOOD[np.arange(COUNT) < LEAST - 1], METRES, 'too few: 49 pixels'),
    'nothing known': (Pairs(GOOD.values * np.nan, GOOD.metres, GOOD.frames), METRES,
                      'too few: 0 pixels'),
    'reference in millimetres': (times(GOOD, 1000), METRES,
                                 'the reference looks like millimetres'),
    'depth in millimetres': (times(GOOD, 0.001), METRES, 'the depth looks like millimetres'),
    'reference of a relative model in millimetres': (
        times(seen(INVERSE, 5, 1), 1000), INVERSE_DEPTH, 'the reference looks like millimetres'),
    'narrow, and a shift is needed': (seen(INVERSE, 5, 1, near=2, far=2.5, outliers=0),
                                      INVERSE_DEPTH, 'too narrow a range of distances'),
    'absurd': (times(GOOD, 30), METRES, 'scale 30.* is absurd'),
    'not the quantity': (seen(SCALE, 1, 0), INVERSE_DEPTH, 'does not rise'),
    'unrelated': (unrelated(), METRES, 'do not agree'),
    'images disagree': (disagreeing(), METRES, 'the images disagree'),
}


@pytest.mark.parametrize('why', REFUSED)
def test_what_supports_no_calibration_is_refused(why: str) -> None:
    pairs, quantity, said = REFUSED[why]
    with pytest.raises(UnusableReferenceError, match=said) as raised:
        fit_reference(pairs, quantity, LEAST)
    assert '\n' not in str(raised.value)


def test_the_trimmed_error_leaves_the_worst_out() -> None:
    depth = np.r_[np.full(70, 1.1), np.full(20, 9.0), np.full(10, np.nan)]
    assert trimmed_error(depth, np.ones(100)) == pytest.approx(0.1)
    assert trimmed_error(np.full(10, np.nan), np.ones(10)) == 1 > MAX_ERROR
