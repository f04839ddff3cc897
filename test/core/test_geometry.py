# SPDX-License-Identifier: Apache-2.0
"""Intrinsics of a resized image, against the projection of points."""

import numpy as np
import pytest

from depth_estimation_ros.core.geometry import scale_intrinsics

K = [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0]
P = [500.0, 0.0, 319.5, -60.0, 0.0, 510.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_the_same_size_keeps_everything() -> None:
    assert scale_intrinsics(K, 3, 1.0, 1.0) == K
    assert scale_intrinsics(P, 4, 1.0, 1.0) == P


@pytest.mark.parametrize(('matrix', 'columns'), [(K, 3), (P, 4)])
def test_a_point_keeps_its_place_in_the_picture(matrix: list[float], columns: int) -> None:
    scale = np.array([0.5, 2.0])
    point = np.array([0.3, -0.2, 2.5, 1.0])[:columns]
    before, after = (np.reshape(values, (3, columns)) @ point for values in (
        matrix, scale_intrinsics(matrix, columns, *scale)))
    old, new = before[:2] / before[2], after[:2] / after[2]
    np.testing.assert_allclose(new + 0.5, (old + 0.5) * scale)


def test_the_centre_of_the_picture_stays_the_centre() -> None:
    half = scale_intrinsics(K, 3, 0.5, 0.5)
    assert (half[2], half[5]) == ((320 - 1) / 2, (240 - 1) / 2)


def test_the_baseline_stays_the_same() -> None:
    scaled = scale_intrinsics(P, 4, 0.25, 0.5)
    assert scaled[3] / scaled[0] == pytest.approx(P[3] / P[0])


def test_the_input_is_not_changed() -> None:
    given = tuple(K)
    assert scale_intrinsics(given, 3, 2.0, 2.0) != K
    assert given == tuple(K)
