# SPDX-License-Identifier: Apache-2.0
"""A reduced image holds pixels that were there, and knows no less than it should."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.points import points_from_depth
from depth_estimation_ros.core.shaping.reduce import PICKS, Reduction, reduce_depth
from test.core.rendered import box, camera_at, room, view

K = [525.0, 0.0, 319.5, 0.0, 525.0, 239.5, 0.0, 0.0, 1.0]
SIDES = st.integers(1, 30)


def members(source: int, size: int, scale: float) -> list[list[int]]:
    """The pixels whose centres lie in each cell, from the definition."""
    places = [int((pixel + 0.5) * scale) for pixel in range(source)]
    return [[pixel for pixel, place in enumerate(places) if place == cell]
            for cell in range(size)]


def reduced(depth: np.ndarray, reduction: Reduction, pick: str) -> np.ndarray:
    return reduce_depth(torch.from_numpy(depth), reduction, pick).numpy()


def random_depth(rows: int, columns: int, seed: int, invalid: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 20, (rows, columns)).astype(np.float32)
    mask = rng.random((rows, columns)) < invalid
    depth[mask] = rng.choice(np.array([np.nan, np.inf, -np.inf], np.float32), mask.sum())
    return depth


def check(depth: np.ndarray, reduction: Reduction, pick: str) -> None:
    """Compare every cell with what the definition allows."""
    result = reduced(depth, reduction, pick)
    assert result.shape == reduction.size
    rows, columns = (members(*sides) for sides in zip(
        reduction.source, reduction.size, reduction.scale, strict=True))
    for row, ys in enumerate(rows):
        for column, xs in enumerate(columns):
            cell = depth[np.ix_(ys, xs)]
            finite = cell[np.isfinite(cell)]
            value = result[row, column]
            if not finite.size:
                np.testing.assert_equal(value, cell.min())  # NaN first, then -Inf
            elif pick == 'minimum':
                assert value == finite.min()
            else:
                assert value in finite


@pytest.mark.parametrize('pick', PICKS)
@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(1, 7), st.integers(0, 99))
def test_strides_of_any_size(pick: str, rows: int, columns: int, stride: int, seed: int) -> None:
    stride = min(stride, rows, columns)
    check(random_depth(rows, columns, seed), Reduction.by_stride((rows, columns), stride), pick)


@pytest.mark.parametrize('pick', PICKS)
@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.data(), st.integers(0, 99))
def test_sizes_of_any_ratio(pick: str, rows: int, columns: int, data: st.DataObject,
                            seed: int) -> None:
    height, width = (data.draw(st.integers(1, side)) for side in (rows, columns))
    reduction = Reduction.to_size((rows, columns), height, width)
    check(random_depth(rows, columns, seed, 0.8), reduction, pick)


@pytest.mark.parametrize(('invalid', 'expected'), [
    ([np.inf, np.inf, np.inf, np.inf], np.inf), ([np.inf, -np.inf, np.inf, np.inf], -np.inf),
    ([np.inf, -np.inf, np.nan, np.inf], np.nan), ([np.inf, 3.0, np.nan, -np.inf], 3.0)])
@pytest.mark.parametrize('pick', PICKS)
def test_what_a_cell_without_distance_is(pick: str, invalid: list[float],
                                         expected: float) -> None:
    depth = np.array(invalid, np.float32).reshape(2, 2)
    np.testing.assert_equal(
        reduced(depth, Reduction.by_stride((2, 2), 2), pick), np.array([[expected]], np.float32))


def test_nearest_is_the_valid_pixel_nearest_to_the_centre() -> None:
    depth = np.arange(25, dtype=np.float32).reshape(5, 5) + 1
    reduction = Reduction.by_stride((5, 5), 5)
    assert reduced(depth, reduction, 'nearest') == 13
    depth[2, 2] = np.nan
    assert reduced(depth, reduction, 'nearest') in (8, 12, 14, 18)
    depth[1:4, 2] = depth[2, 1:4] = np.inf
    assert reduced(depth, reduction, 'nearest') in (7, 9, 17, 19)


def test_a_thin_thing_survives_the_minimum() -> None:
    depth = np.full((40, 40), 8.0, np.float32)
    depth[:, 17] = 2.0
    assert (reduced(depth, Reduction.by_stride((40, 40), 4), 'minimum')[:, 4] == 2).all()


def test_one_side_follows_the_other() -> None:
    assert Reduction.to_size((480, 640), 240, 0).size == (240, 320)
    assert Reduction.to_size((480, 640), 0, 160).size == (120, 160)
    assert Reduction.to_size((480, 640), 0, 0).size == (480, 640)


@pytest.mark.parametrize(('height', 'width'), [(481, 640), (10, 641)])
def test_a_larger_size_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match='cannot be reduced'):
        Reduction.to_size((480, 640), height, width)


def test_a_stride_beyond_a_side_is_refused() -> None:
    with pytest.raises(ValueError, match='cannot be reduced'):
        Reduction.by_stride((3, 640), 4)


def test_the_input_is_not_changed() -> None:
    depth = random_depth(9, 9, 0)
    before = depth.copy()
    for pick in PICKS:
        reduced(depth, Reduction.by_stride((9, 9), 3), pick)
    np.testing.assert_equal(depth, before)


@pytest.mark.parametrize('stride', [3, 4])
def test_points_of_the_reduced_image_lie_within_half_a_cell(stride: int) -> None:
    seen = view(room(box(4.0, 3.2, 0.5)), camera_at(1.0, 3.0))
    k = seen.camera.intrinsics
    reduction = Reduction.by_stride((240, 320), stride)
    matrix = reduction.intrinsics([k.fx, 0, k.cx, 0, k.fy, k.cy, 0, 0, 1], 3)
    depth = reduce_depth(seen.depth, reduction, 'nearest')
    cloud = points_from_depth(depth, Pinhole.from_matrix(matrix, 3))
    whole = points_from_depth(seen.depth, seen.pinhole)
    middle = stride // 2
    taken = whole[middle::stride, middle::stride][:depth.shape[0], :depth.shape[1]]
    off = (cloud - taken)[..., :2].abs() / depth[..., None]
    # an odd cell's middle is a pixel; an even one's lies half a pixel from the pixel taken
    assert off.max() < (1e-5 if stride % 2 else 0.5 / min(k.fx, k.fy) + 1e-5)


def test_the_intrinsics_follow_the_cells() -> None:
    reduction = Reduction.to_size((480, 640), 120, 320)
    matrix = reduction.intrinsics(K, 3)
    assert matrix[0] == 262.5 and matrix[4] == 131.25
    assert (matrix[2], matrix[5]) == (159.5, 59.5)
