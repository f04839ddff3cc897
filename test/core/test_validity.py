# SPDX-License-Identifier: Apache-2.0
"""REP 117: what lies outside the range says on which side, and unknown stays unknown."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from depth_estimation_ros.core.validity import (
    _marked,
    mark_range,
    millimetres,
    out_of_range_share,
    unknown_share,
)

INF, NAN = np.inf, np.nan


def shaped(values: list[float], near: float = 0.5, far: float = 10.0) -> list[float]:
    depth = torch.tensor(values)
    on_a_gpu = _marked(depth, near, far)
    assert mark_range(depth, near, far) is depth
    np.testing.assert_array_equal(on_a_gpu, depth)
    return [float(value) for value in depth]


def test_depth_within_the_range_is_kept_with_both_ends() -> None:
    assert shaped([0.5, 0.75, 9.5, 10.0]) == [0.5, 0.75, 9.5, 10.0]


def test_nearer_is_minus_inf_and_farther_is_plus_inf() -> None:
    assert shaped([0.49, 0.0, -1.0, 10.01, 1000.0]) == [-INF, -INF, -INF, INF, INF]


def test_nan_stays_nan_and_infinities_keep_their_side() -> None:
    np.testing.assert_equal(shaped([NAN, INF, -INF]), [NAN, INF, -INF])


def test_unknown_pixels_hide_none_that_lie_outside() -> None:
    np.testing.assert_equal(shaped([NAN, 0.1, 5.0, 20.0]), [NAN, -INF, 5.0, INF])


def test_zero_never_means_unknown() -> None:
    assert 0.0 not in shaped([0.0, 0.2, 5.0], near=0.1)


@pytest.mark.parametrize(('unknown', 'share'), [(0, 0.0), (1, 0.25), (3, 0.75), (4, 1.0)])
def test_the_share_without_depth_counts_nan_only(unknown: int, share: float) -> None:
    depth = np.array([[1.0, np.inf], [-np.inf, 3.0]], np.float32)
    depth.flat[:unknown] = np.nan
    assert unknown_share(depth) == share


def test_the_share_out_of_range_counts_inf_only() -> None:
    depth = np.array([[1.0, np.inf], [-np.inf, np.nan]], np.float32)
    assert out_of_range_share(depth) == 0.5 and out_of_range_share(depth[:, :1]) == 0.5
    assert out_of_range_share(depth[:1, :1]) == 0.0


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_millimetres_are_rounded_metres_and_zero_is_no_distance(values: list[float]) -> None:
    depth = np.array(values, np.float32)
    given = depth.copy()
    whole = millimetres(depth)
    assert whole.dtype == np.uint16 and whole.shape == depth.shape
    np.testing.assert_array_equal(depth, given)
    distance = np.isfinite(depth) & (depth > 0.0006) & (depth < 65.535)
    np.testing.assert_allclose(whole[distance] / 1000, depth[distance], atol=0.00051, rtol=1e-6)
    assert not whole[~(np.isfinite(depth) & (depth > 0.0004) & (depth < 65.536))].any()
