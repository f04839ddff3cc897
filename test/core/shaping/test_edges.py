# SPDX-License-Identifier: Apache-2.0
"""Flying pixels go, surfaces stay: against rendered truth, resized as a network resizes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from depth_estimation_ros.core.shaping.edges import mask_edges
from test.core.rendered import View, furnished_view
from training.rays import cast_rays, first_hits

JUMP, WIDTH = 0.05, 1


def resized_depth(seen: View, factor: int) -> Tensor:
    """Depth as a coarse network gives it: true at its own pixels, bilinear between them."""
    size = tuple(seen.depth.shape)
    columns, rows = ((torch.arange(0.0, side // factor) + 0.5) * factor - 0.5
                     for side in size[::-1])
    coarse, _ = first_hits(seen.world, seen.camera, cast_rays(seen.camera, columns, rows))
    return functional.interpolate(coarse[None, None], size, mode='bilinear')[0, 0]


def flying(depth: Tensor, truth: Tensor, reach: int) -> Tensor:
    """Which pixels lie more than 10 % off every surface seen within reach of them."""
    side = 2 * reach + 1
    padded = functional.pad(truth[None, None], [reach] * 4, mode='replicate')
    near = functional.unfold(padded, side).view(side * side, *truth.shape)
    return (depth / near - 1).abs().amin(0) > 0.1


@pytest.mark.parametrize('factor', [2, 4])
@pytest.mark.parametrize('pitch', [-0.3, 0.0])
def test_flying_pixels_go_and_surfaces_stay(factor: int, pitch: float) -> None:
    removed = flown = lost = good = 0
    for index in range(3):
        seen = furnished_view(index, pitch)
        depth = resized_depth(seen, factor)
        off = flying(depth, seen.depth, factor)
        gone = mask_edges(depth, JUMP, WIDTH).isnan()
        removed, flown = removed + int((gone & off).sum()), flown + int(off.sum())
        lost, good = lost + int((gone & ~off).sum()), good + int((~off).sum())
    assert flown > 100
    assert removed >= 0.9 * flown and lost <= 0.05 * good


@pytest.mark.parametrize('width', [1, 2, 3])
def test_the_width_counts_pixels_on_either_side(width: int) -> None:
    depth = torch.full((9, 12), 2.0)
    depth[:, 6:] = 3.0
    gone = mask_edges(depth, 0.1, width).isnan()
    expected = torch.zeros(9, 12, dtype=torch.bool)
    expected[:, 6 - width:6 + width] = True
    assert torch.equal(gone, expected)
    assert torch.equal(mask_edges(depth.T, 0.1, width).isnan(), expected.T)


def test_no_width_masks_nothing() -> None:
    depth = torch.rand(5, 6) + 0.5
    assert torch.equal(mask_edges(depth, 0.01, 0), depth)


def test_the_jump_is_relative() -> None:
    depth = torch.tensor([[1.0, 1.09, 10.0, 10.9, 100.0, 112.0]])
    gone = mask_edges(depth, 0.1, 1)[0].isnan()
    assert gone.tolist() == [False, True, True, True, True, True]
    assert not mask_edges(depth[:, :2], 0.1, 1).isnan().any()


def test_beyond_the_range_is_an_edge_and_unknown_is_none() -> None:
    depth = torch.tensor([[2.0, 2.0, torch.inf, torch.inf, torch.nan, 2.0, torch.nan, 9.0]])
    gone = mask_edges(depth, 0.1, 1)[0]
    assert gone.isnan().tolist() == [False, True, True, False, True, False, True, False]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 30), st.floats(0.01, 1.0),
       st.integers(0, 99))
def test_any_size_is_the_definition(rows: int, columns: int, width: int, jump: float,
                                    seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = np.repeat(rng.uniform(1, 3, (rows, 1)), columns, 1).astype(np.float32)
    depth[rng.random(depth.shape) < 0.05] = np.nan
    depth[rng.random(depth.shape) < 0.05] = 9.0
    given_depth = torch.from_numpy(depth.copy())
    result = mask_edges(given_depth, jump, width)
    np.testing.assert_equal(given_depth.numpy(), depth)
    gone = np.zeros(depth.shape, bool)
    for row, column in np.ndindex(*depth.shape):
        for other in ((row + 1, column), (row, column + 1)):
            if other[0] >= rows or other[1] >= columns:
                continue
            pair = sorted((depth[row, column], depth[other]))
            if pair[1] > pair[0] * np.float32(1 + jump):
                for y, x in ((row, column), other):
                    gone[max(y - width + 1, 0):y + width, max(x - width + 1, 0):x + width] = True
    np.testing.assert_equal(result.numpy(), np.where(gone, np.float32(np.nan), depth))


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
def test_an_image_without_depth_stays_as_it_is(value: float) -> None:
    depth = torch.full((7, 8), value)
    np.testing.assert_equal(mask_edges(depth, 0.05, 2).numpy(), depth.numpy())
