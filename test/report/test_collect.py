# SPDX-License-Identifier: Apache-2.0
"""Figures of streams of depth, and which of their frames are kept."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.evaluation import Evaluation
from depth_estimation_ros.core.evaluation.protocol import Protocol
from depth_estimation_ros.core.reference_pairs import nearest_pixels
from depth_estimation_ros.report.collect import SAMPLES, WIDEST, WORST, Collected

FLAT = np.full((6, 8), 2.0, np.float32)


def collected(count: int) -> Collected:
    """Frame k has its k-th share of unknown pixels and an error of 10 %, the fifth of 50 %."""
    found = Collected()
    for number in range(count):
        depth = FLAT.copy()
        depth.flat[:number % depth.size] = np.nan
        truth = FLAT / (1.5 if number == 5 else 1.1)
        found.add(depth, stamp=10**9 + number * 10**8, time=10**9 + number * 10**8 + 5_000_000,
                  truth=truth)
    return found


def test_every_frame_is_in_the_figures() -> None:
    found = collected(10)
    assert found.frames == 10
    assert list(found.unknown) == [number / FLAT.size for number in range(10)]
    assert found.known == pytest.approx(1 - 45 / 480)
    np.testing.assert_allclose(found.places, np.arange(10) / 10)
    np.testing.assert_allclose(found.delay_ms, 5)
    assert np.isnan(found.gap_ms[0])
    np.testing.assert_allclose(found.gap_ms[1:], 100)
    np.testing.assert_allclose(found.abs_rel, [0.1] * 5 + [0.5] + [0.1] * 4, rtol=1e-5)
    assert found.quantile(0.5) == pytest.approx(2, abs=0.05)


def test_the_worst_frames_are_kept_the_worst_first() -> None:
    found = collected(10)
    assert [moment.number for moment in found.most_unknown.moments] == [9, 8, 7, 6]
    assert found.most_wrong.moments[0].number == 5 and len(found.most_wrong.moments) == WORST
    assert len(collected(2).most_unknown.moments) == 1  # a frame without an unknown pixel is good


@pytest.mark.parametrize('count', [0, 1, 3, SAMPLES, 2 * SAMPLES + 1, 500])
def test_samples_are_spread_over_the_run(count: int) -> None:
    numbers = [moment.number for moment in collected(count).even.moments]
    assert len(numbers) == min(count, SAMPLES) and numbers == sorted(set(numbers))
    if count:
        assert numbers[0] == 0 and numbers[-1] >= 0.8 * (count - 1)
    gaps = np.diff(numbers)
    assert not gaps.size or gaps.max() <= 2 * gaps.min()


def test_inf_is_no_distance_and_not_unknown() -> None:
    found, depth = Collected(), FLAT.copy()
    depth[0, 0], depth[0, 1], depth[0, 2] = np.inf, -np.inf, np.nan
    found.add(depth)
    assert (found.outside[0], found.unknown[0]) == (2 / 48, 1 / 48)


def test_the_histogram_counts_every_distance() -> None:
    found = Collected()
    found.add(np.linspace(1, 9, 1000, dtype=np.float32).reshape(10, 100))
    histogram = found.histogram('depth')
    assert histogram is not None and sum(histogram.counts) == pytest.approx(100)
    assert histogram.edges[0] == 1.0 and 9 <= histogram.edges[-1] < 9.3
    assert Collected().histogram('none') is None


def test_a_large_frame_is_thinned_and_its_pixels_are_its_own() -> None:
    found = Collected()
    depth = np.arange(720 * 1280, dtype=np.float32).reshape(720, 1280)
    found.add(depth, truth=depth[::2, ::2] + 1)
    moment, = found.even.moments
    assert moment.step == 4 and moment.depth.shape == (180, WIDEST)
    np.testing.assert_array_equal(moment.depth, depth[::4, ::4])
    assert moment.truth is not None and moment.truth.shape == moment.depth.shape
    assert 'nearest pixel' in found.remarks[0] and not found.notes


def test_truth_of_another_view_is_named_and_not_compared() -> None:
    found = Collected()
    found.add(FLAT, truth=FLAT[:, :3])
    assert np.isnan(found.abs_rel[0]) and 'not of one view' in found.notes[0]


def test_the_error_is_that_of_evaluate_where_the_truth_has_another_size() -> None:
    rng, found = np.random.default_rng(4), Collected()
    depth = rng.uniform(1, 5, (48, 64)).astype(np.float32)
    truth = rng.uniform(1, 5, (12, 16)).astype(np.float32)
    evaluation = Evaluation(Protocol())
    found.add(depth, truth=truth)
    evaluation.add(nearest_pixels(depth, (12, 16)), truth)
    assert found.abs_rel[0] == pytest.approx(evaluation.pooled()['all'].abs_rel, rel=1e-6)


def test_seconds_count_from_a_first_frame_at_0() -> None:
    found = Collected()
    for number in range(3):
        found.add(FLAT, time=number * 10**8, stamp=number * 10**8)
    np.testing.assert_allclose(found.places, [0, 0.1, 0.2])
