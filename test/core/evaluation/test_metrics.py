# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.metrics import (
    NAMES,
    ErrorSums,
    depth_metrics,
    error_sums,
    mean_metrics,
)


def test_perfect_prediction_has_no_error() -> None:
    truth = np.linspace(0.5, 8.0, 48).reshape(6, 8)
    result = depth_metrics(truth, truth)
    assert (result.abs_rel, result.rmse_m, result.delta1) == (0.0, 0.0, 1.0)
    assert result.silog == pytest.approx(0.0)
    assert result.pixels == 48


def test_values_by_hand() -> None:
    result = depth_metrics([1.1, 1.0, 6.0], [1.0, 2.0, 5.0])
    assert result.abs_rel == pytest.approx((0.1 + 0.5 + 0.2) / 3)
    assert result.rmse_m == pytest.approx(math.sqrt((0.01 + 1.0 + 1.0) / 3))
    assert result.delta1 == pytest.approx(2 / 3)
    logs = np.log([1.1, 0.5, 1.2])
    expected = 100 * math.sqrt(np.mean(logs**2) - np.mean(logs) ** 2)
    assert result.silog == pytest.approx(expected)
    assert result.sq_rel == pytest.approx((0.01 / 1 + 1.0 / 2 + 1.0 / 5) / 3)
    assert result.rmse_log == pytest.approx(math.sqrt(np.mean(logs**2)))
    assert result.log10 == pytest.approx(np.mean(np.abs(np.log10([1.1, 0.5, 1.2]))))
    assert (result.delta2, result.delta3) == pytest.approx((2 / 3, 2 / 3))


@pytest.mark.parametrize(('ratio', 'within'), [
    (1.2499, (1, 1, 1)), (1.25, (0, 1, 1)), (1.5625, (0, 0, 1)), (1.953125, (0, 0, 0)),
    (1 / 1.26, (0, 1, 1)), (1 / 1.6, (0, 0, 1)), (1 / 2, (0, 0, 0)),
])
def test_deltas_are_powers_of_1_25_and_strict(ratio: float, within: tuple[int, ...]) -> None:
    result = depth_metrics([ratio], [1.0])
    assert (result.delta1, result.delta2, result.delta3) == within


def test_scale_is_an_error_but_not_for_silog() -> None:
    truth = np.linspace(1.0, 5.0, 100)
    result = depth_metrics(1.3 * truth, truth)
    assert result.abs_rel == pytest.approx(0.3)
    assert result.delta1 == 0.0
    assert result.silog == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize('unknown', [0.0, -1.0, math.nan, math.inf])
def test_unknown_truth_is_left_out(unknown: float) -> None:
    result = depth_metrics([2.0, 9.0], [2.0, unknown])
    assert (result.pixels, result.abs_rel) == (1, 0.0)


@pytest.mark.parametrize('invalid', [math.nan, math.inf, -math.inf])
def test_invalid_prediction_is_left_out(invalid: float) -> None:
    assert depth_metrics([2.0, invalid], [2.0, 3.0]).pixels == 1


def test_no_valid_pixel_gives_nan() -> None:
    result = depth_metrics(np.ones(4), np.zeros(4))
    assert result.pixels == 0
    assert math.isnan(result.abs_rel) and math.isnan(result.delta1)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r'\(2, 2\).*\(4,\)'):
        depth_metrics(np.ones((2, 2)), np.ones(4))


def test_sums_of_two_images_are_those_of_their_pixels_together() -> None:
    rng = np.random.default_rng(1)
    predicted, actual = rng.uniform(0.5, 9, (2, 50))
    parts = error_sums(predicted[:20], actual[:20]) + error_sums(predicted[20:], actual[20:])
    whole = depth_metrics(predicted, actual)
    pooled = (ErrorSums() + parts + ErrorSums()).metrics()
    assert pooled.pixels == whole.pixels == 50
    for name in NAMES:
        assert getattr(pooled, name) == pytest.approx(getattr(whole, name))


def test_the_mean_gives_each_image_one_weight_and_leaves_empty_ones_out() -> None:
    small, large = depth_metrics([2.0], [1.0]), depth_metrics([1.0] * 9, [1.0] * 9)
    mean = mean_metrics([small, large, depth_metrics([1.0], [0.0])])
    assert (mean.abs_rel, mean.delta1, mean.pixels) == (0.5, 0.5, 10)
    assert math.isnan(mean_metrics([]).abs_rel)
