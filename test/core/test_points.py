# SPDX-License-Identifier: Apache-2.0
"""Clouds against the renderer's hit points, and their bytes against the description."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.points import one_point_a_voxel, packed_rgb, points_from_depth
from test.core.rendered import View, box, camera_at, room, view
from training.rays import camera_axes

CAMERA = Pinhole(100.0, 110.0, 4.5, 3.0)


@pytest.fixture(scope='module')
def seen() -> View:
    return view(room(box(4.0, 3.2, 0.5, 0.4)),
                camera_at(1.0, 3.0, yaw=0.2, pitch=-0.25, roll=0.05))


def in_world(points: torch.Tensor, seen: View) -> torch.Tensor:
    """Turn points of the optical frame, N×3, into the world's."""
    axes = camera_axes(seen.camera).double()
    return points.double() @ axes.T + torch.tensor(seen.camera.position, dtype=torch.float64)


def colours(rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows * columns)
    return torch.randint(0, 256, (rows, columns, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize('stride', [1, 3])
def test_points_are_where_the_rays_hit(seen: View, stride: int) -> None:
    cloud = points_from_depth(seen.depth, seen.pinhole, stride=stride)
    hits = seen.hits[:, ::stride, ::stride].permute(1, 2, 0)
    assert (in_world(cloud[..., :3], seen) - hits).norm(dim=-1).max() < 1e-4


def test_bytes_of_a_coloured_point() -> None:
    depth = torch.full((2, 3), 2.0)
    image = torch.zeros(2, 3, 3, dtype=torch.uint8)
    image[1, 2] = torch.tensor([10, 20, 30], dtype=torch.uint8)
    data = points_from_depth(depth, Pinhole(100.0, 50.0, 1.0, 0.5), image).numpy().tobytes()
    assert len(data) == 2 * 3 * 32
    last = data[5 * 32:]
    assert struct.unpack('<fff', last[:12]) == pytest.approx((0.02, 0.02, 2.0))
    assert last[12:16] == bytes(4) and last[20:] == bytes(12)
    assert struct.unpack('<I', last[16:20]) == (10 << 16 | 20 << 8 | 30,)


def test_a_point_without_colour_takes_sixteen_bytes() -> None:
    cloud = points_from_depth(torch.ones(4, 5), CAMERA)
    assert cloud.shape == (4, 5, 4) and cloud.is_contiguous() and not cloud[..., 3].any()


def test_every_colour_stays_with_its_pixel() -> None:
    image = colours(23, 31)
    cloud = points_from_depth(torch.ones(23, 31), CAMERA, image, stride=2)
    stored = cloud.contiguous().view(torch.uint8).view(12, 16, 32)[..., 16:20]
    assert torch.equal(stored[..., :3].flip(-1), image[::2, ::2])
    assert not stored[..., 3].any()


def test_both_ways_to_pack_colours_agree() -> None:
    image = colours(5, 7)
    red, green, blue = image.int().unbind(-1)
    assert torch.equal(packed_rgb(image), red * 65536 + green * 256 + blue)


def test_what_is_not_finite_is_nan_in_all_three() -> None:
    depth = torch.tensor([[1.0, torch.nan, torch.inf, -torch.inf]])
    xyz = points_from_depth(depth, CAMERA)[0, :, :3]
    assert xyz[0].isfinite().all() and xyz[1:].isnan().all()


def test_clearing_stands_for_what_is_beyond_and_for_nothing_else() -> None:
    depth = torch.tensor([[1.0, torch.nan, torch.inf, -torch.inf]])
    cloud = points_from_depth(depth, CAMERA, clearing=20.0)[0]
    expected = points_from_depth(torch.full((1, 4), 20.0), CAMERA)[0]
    assert torch.equal(cloud[2], expected[2])
    assert cloud[1, :3].isnan().all() and cloud[3, :3].isnan().all() and cloud[0, 2] == 1


def test_a_cloud_can_be_written_anew_in_place() -> None:
    image = colours(9, 11)
    first = points_from_depth(torch.full((9, 11), torch.nan), CAMERA, image)
    again = points_from_depth(torch.ones(9, 11), CAMERA, image.flip(0), out=first)
    assert again.data_ptr() == first.data_ptr()
    fresh = points_from_depth(torch.ones(9, 11), CAMERA, image.flip(0))
    assert torch.equal(again.view(torch.int32), fresh.view(torch.int32))


def test_an_image_of_another_size_is_named() -> None:
    with pytest.raises(ValueError, match='resize'):
        points_from_depth(torch.ones(4, 4), CAMERA, colours(4, 5))


def test_numpy_depth_is_used_without_a_copy() -> None:
    depth = np.full((3, 4), 2.0, np.float32)
    depth[0, 0] = np.nan
    before = depth.copy()
    points_from_depth(torch.from_numpy(depth), CAMERA)
    np.testing.assert_equal(depth, before)


SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 9), st.integers(0, 1000), st.booleans())
def test_any_size_and_stride_is_the_pinhole_formula(
        size: tuple[int, int], stride: int, seed: int, coloured: bool) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.1, 50, size).astype(np.float32)
    depth[rng.random(size) < 0.3] = rng.choice([np.nan, np.inf, -np.inf])
    cloud = points_from_depth(torch.from_numpy(depth), CAMERA,
                              colours(*size) if coloured else None, stride=stride)
    v, u = np.mgrid[:size[0], :size[1]]
    z = np.where(np.isfinite(depth), depth, np.nan).astype(np.float64)
    expected = np.stack([(u - 4.5) * z / 100, (v - 3) * z / 110, z], -1)[::stride, ::stride]
    np.testing.assert_allclose(cloud[..., :3].numpy(), expected, rtol=1e-6, atol=1e-7)


def test_large_clouds_are_the_same_as_small_ones() -> None:
    depth = torch.rand(300, 900) + 1
    cloud = points_from_depth(depth, CAMERA)
    assert torch.equal(cloud[..., 2], depth)
    lower = points_from_depth(depth[250:], Pinhole(100.0, 110.0, 4.5, 3.0 - 250))
    torch.testing.assert_close(cloud[250:], lower)


@pytest.mark.parametrize('matrix', [[0.0] * 12, [float('nan')] * 12])
def test_what_is_no_calibration_is_refused(matrix: list[float]) -> None:
    with pytest.raises(ValueError, match='calibrate'):
        Pinhole.from_matrix(matrix, 4)
    with pytest.raises(ValueError, match='not a calibrated camera'):
        Pinhole.from_matrix([1e300, 0.0, 1.0, 0.0, 1e300, 1.0, 0.0, 0.0, 1.0], 3)


def test_k_and_p_give_the_same_rays() -> None:
    k = [100.0, 0.0, 4.5, 0.0, 110.0, 3.0, 0.0, 0.0, 1.0]
    p = [100.0, 0.0, 4.5, -6.0, 0.0, 110.0, 3.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert Pinhole.from_matrix(k, 3) == Pinhole.from_matrix(p, 4) == CAMERA


@pytest.mark.parametrize('voxel', [0.05, 0.2])
def test_a_voxel_keeps_one_measured_point(seen: View, voxel: float) -> None:
    cloud = points_from_depth(seen.depth, seen.pinhole, stride=2)
    thin = one_point_a_voxel(cloud, voxel)
    cells = {tuple(cell) for cell in np.floor(thin[:, :3].numpy() / np.float32(voxel)).tolist()}
    every = np.floor(cloud[..., :3].reshape(-1, 3).numpy() / np.float32(voxel)).tolist()
    assert len(cells) == len(thin) < cloud[..., 0].numel()
    assert cells == {tuple(cell) for cell in every}
    place = {tuple(point): index for index, point in enumerate(cloud.flatten(0, 1).tolist())}
    places = [place[tuple(point)] for point in thin.tolist()]
    assert places == sorted(places)


def test_a_voxel_grid_leaves_out_what_is_unknown_and_keeps_colours() -> None:
    depth = torch.tensor([[1.0, torch.nan, 1.0], [1.0, 2.0, torch.inf]])
    image = colours(2, 3)
    cloud = points_from_depth(depth, Pinhole(1000.0, 1000.0, 0.0, 0.0), image)
    thin = one_point_a_voxel(cloud, 0.5)
    expected = torch.stack([cloud[0, 0], cloud[1, 1]])
    assert torch.equal(thin.view(torch.int32), expected.view(torch.int32))


def test_a_cloud_without_a_point_stays_empty() -> None:
    assert one_point_a_voxel(
        points_from_depth(torch.full((3, 4), torch.nan), CAMERA), 0.1).shape == (0, 4)
