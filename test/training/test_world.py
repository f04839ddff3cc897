# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

pytest.importorskip('torch')

import torch

from training.dataset import camera_sample, make_scene, network_sample, scene_rng
from training.rays import cast_rays, first_hits
from training.render import render
from training.scene import CAMERA_HEIGHT_M, CAMERA_PITCH_RAD, ROOM_SIDE_M
from training.textures import texture_bank
from training.world import (
    Box,
    Camera,
    Cylinder,
    Intrinsics,
    Light,
    Material,
    Shape,
    Sphere,
    World,
)

GREY = Material(0, (0.5, 0.5, 0.5), (0.6, 0.6, 0.6), (0.0, 0.0))
INTRINSICS = Intrinsics(525.0, 530.0, 319.5, 239.5)
COLUMNS, ROWS = torch.arange(0.0, 640.0, 16.0), torch.arange(0.0, 480.0, 16.0)


def empty_room(*shapes: Shape) -> World:
    light = Light((2.0, 3.0, 2.4), (1.0, 1.0, 1.0))
    return World((8.0, 6.0, 2.6), (GREY,) * 6, shapes, (light,), (0.4, 0.4, 0.4), False)


def camera_at(x: float, y: float, pitch: float = -0.2, yaw: float = 0.0) -> Camera:
    return Camera((x, y, 1.2), yaw, pitch, 0.0, INTRINSICS)


def depth_of(world: World, camera: Camera) -> torch.Tensor:
    return first_hits(world, camera, cast_rays(camera, COLUMNS, ROWS))[0]


def test_floor_and_wall_have_the_z_depth_of_their_planes() -> None:
    pitch = -0.2
    depth = depth_of(empty_room(), camera_at(3.0, 3.0, pitch))
    y = (ROWS - INTRINSICS.cy) / INTRINSICS.fy
    to_floor = 1.2 / (y * math.cos(pitch) - math.sin(pitch))
    to_wall = 5.0 / (math.cos(pitch) + y * math.sin(pitch))
    expected = torch.minimum(to_floor.where(to_floor > 0, torch.inf), to_wall)
    middle = len(COLUMNS) // 2
    torch.testing.assert_close(depth[6:, middle], expected[6:], rtol=1e-5, atol=1e-5)


def test_depth_is_along_the_axis_and_not_along_the_ray() -> None:
    depth = depth_of(empty_room(), camera_at(4.5, 3.0, pitch=0.0))
    row = depth[len(ROWS) // 2]
    wall = row[(row > 3.49)]
    assert len(wall) > 10
    torch.testing.assert_close(wall, torch.full_like(wall, 3.5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(('shape', 'front'), [
    (Box((6.0, 3.0, 1.2), (0.5, 0.4, 0.3), 0.0, GREY), 2.5),
    (Box((6.0, 3.0, 1.2), (0.5, 0.4, 0.3), math.pi / 2, GREY), 2.6),
    (Sphere((6.0, 3.0, 1.2), 0.7, GREY), 2.3),
    (Cylinder((6.0, 3.0, 1.2), 0.6, 0.5, GREY), 2.4),
])
def test_nearest_point_of_a_shape(shape: Shape, front: float) -> None:
    camera = camera_at(3.0, 3.0, pitch=0.0)
    rays = cast_rays(camera, torch.tensor([319.5, 330.0]), torch.tensor([239.5, 250.0]))
    depth, surface = first_hits(empty_room(shape), camera, rays)
    assert float(depth[0, 0]) == pytest.approx(front, abs=1e-4)
    assert int(surface[0, 0]) == 6


def test_objects_are_the_pixels_of_shapes() -> None:
    sphere = Sphere((6.0, 3.0, 1.2), 0.7, GREY)
    camera = camera_at(3.0, 3.0, pitch=0.0)
    picture = render(empty_room(sphere), camera, COLUMNS, ROWS, texture_bank())
    x = (COLUMNS - INTRINSICS.cx) / INTRINSICS.fx
    y = (ROWS - INTRINSICS.cy) / INTRINSICS.fy
    # a ray meets the ball where it is within the angle of its tangent, 3 m away
    off_axis = (x[None].square() + y[:, None].square()).sqrt()
    assert torch.equal(picture.objects, off_axis < math.tan(math.asin(0.7 / 3)))
    assert not render(empty_room(), camera, COLUMNS, ROWS, texture_bank()).objects.any()


def test_shadow_falls_behind_the_box_and_only_there() -> None:
    box = Box((5.0, 3.0, 0.4), (0.4, 0.4, 0.4), 0.0, GREY)
    camera = camera_at(1.5, 3.0, yaw=0.3)
    bank = texture_bank()
    lit = render(empty_room(), camera, COLUMNS, ROWS, bank)
    shaded = render(empty_room(box), camera, COLUMNS, ROWS, bank)
    same = lit.depth == shaded.depth
    ratio = (shaded.radiance / lit.radiance).mean(0)[same]
    assert ratio.max() <= 1.0001
    assert ratio.min() < 0.8
    assert (ratio > 0.999).float().mean() > 0.5


@pytest.mark.parametrize('corridor', [False, True])
def test_same_seed_same_sample(corridor: bool) -> None:
    first = network_sample('train', 5, corridor, 96, 128)
    again = network_sample('train', 5, corridor, 96, 128)
    other = network_sample('train', 6, corridor, 96, 128)
    assert torch.equal(first.image, again.image) and torch.equal(first.depth, again.depth)
    assert not torch.equal(first.image, other.image)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_gpu_renders_what_the_cpu_renders() -> None:
    here, there = camera_sample('test', 1), camera_sample('test', 1, torch.device('cuda'))
    difference = (here.image.int() - there.image.cpu().int()).abs()
    assert (difference > 2).float().mean() < 0.001
    assert ((here.depth - there.depth.cpu()).abs() > 1e-3).float().mean() < 0.001


def test_scenes_stay_in_the_stated_band() -> None:
    for index in range(20):
        world, camera = make_scene(scene_rng('test', index), 'test', corridor=False)
        assert CAMERA_HEIGHT_M[0] <= camera.position[2] <= CAMERA_HEIGHT_M[1]
        assert CAMERA_PITCH_RAD[0] <= camera.pitch <= CAMERA_PITCH_RAD[1]
        assert all(ROOM_SIDE_M[0] <= side <= ROOM_SIDE_M[1] for side in world.size[:2])


def test_camera_sample_is_a_full_image_with_depth_everywhere() -> None:
    sample = camera_sample('test', 0)
    assert sample.image.shape == (3, 480, 640) and sample.image.dtype == torch.uint8
    assert sample.depth.shape == (480, 640)
    depth = sample.depth.numpy()
    assert np.isfinite(depth).all() and depth.min() > 0.05 and depth.max() < 12
