# SPDX-License-Identifier: Apache-2.0
"""Pairs of depth and reference: the right pixel, the right distance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.reference_pairs import (
    MOST,
    Collector,
    UnusableReferenceError,
    along_axis,
    nearest_pixels,
    pairs_of_map,
    pairs_of_pixels,
    pairs_of_points,
)

LENS = Pinhole(100.0, 110.0, 39.5, 29.5)
NUMBERED = np.arange(60 * 80, dtype=np.float32).reshape(60, 80)
"""A map whose values say which pixel they are of."""


def test_maps_are_paired_where_the_reference_is_known() -> None:
    reference = np.full((60, 80), np.nan, np.float32)
    reference[3, 5], reference[7, 9], reference[1, 1], reference[2, 2] = 1.5, 2.5, 0, np.inf
    values, metres = pairs_of_map(NUMBERED, reference)
    assert values.tolist() == [3 * 80 + 5, 7 * 80 + 9] and metres.tolist() == [1.5, 2.5]


def test_a_smaller_reference_is_paired_with_the_middle_of_its_pixels() -> None:
    values, _ = pairs_of_map(NUMBERED, np.ones((20, 27), np.float32))
    assert values[0] == 80 + 1 and values[-1] == 58 * 80 + 78


def test_a_map_at_another_size_is_taken_from_the_middle_of_each_cell() -> None:
    assert nearest_pixels(NUMBERED, (20, 16)).tolist() == NUMBERED[1::3, 2::5].tolist()
    marked = NUMBERED % 3 == 0
    assert nearest_pixels(marked, (120, 160)).tolist() == np.kron(
        marked, np.ones((2, 2), np.bool_)).tolist()


def test_maps_of_different_views_are_refused() -> None:
    with pytest.raises(UnusableReferenceError, match='80x60 and a reference of 80x40'):
        pairs_of_map(NUMBERED, np.ones((40, 80)))


def seen_at(u: float, v: float, z: float) -> list[float]:
    return [(u - LENS.cx) / LENS.fx * z, (v - LENS.cy) / LENS.fy * z, z]


def test_a_point_is_paired_with_its_pixel_and_hides_what_is_behind() -> None:
    points = np.array([
        seen_at(5.3, 3, 4), seen_at(4.8, 3.4, 2), seen_at(79.4, 59.4, 1),
        seen_at(79.6, 3, 1), seen_at(5, 59.6, 1), seen_at(-0.6, 3, 1), seen_at(9, 9, -2),
        [np.nan, 0, 1], [0, 0, 0]])
    values, metres = pairs_of_points(NUMBERED, points, LENS)
    assert values.tolist() == [3 * 80 + 5, 59 * 80 + 79] and metres.tolist() == [2.0, 1.0]


def test_a_measured_pixel_is_the_median_around_it() -> None:
    depth = np.full((60, 80), 2.0, np.float32)
    depth[10, 20], depth[9, 20], depth[40:45, 40:45] = np.nan, 9.0, np.nan
    values, metres = pairs_of_pixels(depth, [(20, 10, 3.0), (42, 42, 1.0), (0, 0, 5.0)])
    np.testing.assert_array_equal(values, [2.0, np.nan, 2.0])
    assert metres.tolist() == [3.0, 1.0, 5.0]
    with pytest.raises(UnusableReferenceError, match='80, 3 lies outside'):
        pairs_of_pixels(depth, [(80, 3, 1.0)])


def test_a_straight_line_is_longer_than_its_way_along_the_axis() -> None:
    x, y, z = seen_at(70, 10, 2.5)
    assert along_axis(70, 10, math.hypot(x, y, z), LENS) == pytest.approx(2.5)


def test_a_collector_keeps_some_of_each_image() -> None:
    collector = Collector()
    collector.add(np.arange(3.0), np.ones(3))
    collector.add(np.arange(10.0 * MOST), np.ones(10 * MOST))
    pairs = collector.pairs
    assert np.bincount(pairs.frames).tolist() == [3, MOST] and collector.images == 2
    assert pairs.values[3:].max() > 9 * MOST and len(np.unique(pairs.values[3:])) == MOST
    assert len(Collector().pairs) == 0


def test_a_collector_knows_the_places_that_every_image_shows() -> None:
    collector = Collector([0, 1, 0])
    collector.add(np.arange(3.0), np.ones(3))
    collector.add(np.array([5.0, np.nan, 7.0]), np.ones(3))
    pairs = collector.pairs
    assert pairs.places is not None and pairs.places.tolist() == [0, 1, 0, 0, 1, 0]
    known = pairs[np.isfinite(pairs.values)]
    assert known.places is not None and known.places.tolist() == [0, 1, 0, 0, 0]
    assert Collector().pairs.places is None
