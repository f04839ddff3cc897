# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

pytest.importorskip('torch')

from training.drive import loop, robot
from training.drive.clearance import clearance, collides
from training.drive.course import Course, draw_course, obstructed
from training.drive.grid import cheapest_path
from training.drive.memory import Memory
from training.drive.parallel import drive_all
from training.drive.planner import Planner
from training.drive.robot import MOUNT, Pose, blind_m, pinhole, step
from training.drive.sources import DIVISOR, row_scan, true_depth, true_scan
from training.drive.table import avoidable, failures, table
from training.sensor import Sensor
from training.world import Box, Cylinder, Light, Material, Shape, Sphere, World

GREY = Material(0, (0.5, 0.5, 0.5), (0.6, 0.6, 0.6), (0.0, 0.0))
SENSOR = Sensor(0.45, (1.0, 1.0, 1.0), 0.0, 0)


def room(*shapes: Shape) -> World:
    light = Light((2.0, 3.0, 2.4), (1.0, 1.0, 1.0))
    return World((8.0, 6.0, 2.6), (GREY,) * 6, shapes, (light,), (0.4, 0.4, 0.4), False)


def box(x: float, y: float, side: float, yaw: float = 0.0, bottom: float = 0.0) -> Box:
    half = side / 2
    return Box((x, y, bottom + half), (half, half, half), yaw, GREY)


def gap(world: World, x: float, y: float) -> float:
    return float(clearance(world, np.array(x), np.array(y)))


def test_the_wheels_drive_straight_lines_arcs_and_turns_on_the_spot() -> None:
    straight = step(Pose(1.0, 2.0, math.pi / 2), 0.5, 0.0, 2.0)
    assert (straight.x, straight.y) == pytest.approx((1.0, 3.0))
    half_circle = step(Pose(0.0, 0.0, 0.0), 1.0, 0.5, math.pi / 0.5)
    assert (half_circle.x, half_circle.y) == pytest.approx((0.0, 4.0))
    turned = step(Pose(1.0, 2.0, 0.0), 0.0, 0.8, 1.0)
    assert (turned.x, turned.y, turned.yaw) == pytest.approx((1.0, 2.0, 0.8))


@pytest.mark.parametrize(('shape', 'distance'), [
    (box(4.0, 3.0, 1.0), 0.5),
    (box(4.0, 3.0, 1.0, yaw=math.pi / 4), 1 - math.sqrt(0.5)),
    (Cylinder((4.0, 3.0, 0.5), 0.3, 0.5, GREY), 0.7),
    (Sphere((4.0, 3.0, 0.4), 0.4, GREY), 0.6),
    (Sphere((4.0, 3.0, 1.6), 0.5, GREY), 0.6),  # hangs 20 cm into the robot's height
])
def test_clearance_is_the_distance_to_the_shape(shape: Shape, distance: float) -> None:
    assert gap(room(shape), 3.0, 3.0) == pytest.approx(distance)
    assert gap(room(shape), 4.0, 3.0) < 0


@pytest.mark.parametrize('shape', [
    box(4.0, 3.0, 0.04), box(4.0, 3.0, 0.5, bottom=1.4),
], ids=['passes under the robot', 'hangs over it'])
def test_what_the_body_cannot_meet_is_no_obstacle(shape: Shape) -> None:
    assert gap(room(shape), 4.0, 3.0) == pytest.approx(3.0)


def test_the_footprint_collides_with_walls_and_boxes() -> None:
    world = room(box(4.0, 3.0, 1.0))
    assert collides(world, Pose(0.19, 3.0, 0.0)) and not collides(world, Pose(0.21, 3.0, 0.0))
    assert collides(world, Pose(3.31, 3.0, 0.0)) and not collides(world, Pose(3.29, 3.0, 0.0))


def test_the_cheapest_path_goes_round_a_wall_and_finds_none_through_it() -> None:
    cost = np.ones((9, 9))
    cost[4, :8] = np.inf
    path = cheapest_path(cost, (0, 0), (8, 0))
    assert path is not None and (4, 8) in path
    cost[4, 8] = np.inf
    assert cheapest_path(cost, (0, 0), (8, 0)) is None


def planned(world: World, pose: Pose, goal: tuple[float, float]) -> tuple[float, float]:
    memory, planner = Memory((pose.x, pose.y)), Planner(goal)
    memory.observe(pose, true_scan(world, pose, SENSOR))
    assert planner.plan(memory, pose)
    return planner.command(pose)


def test_the_planner_goes_straight_in_an_empty_room_and_turns_away_from_a_box() -> None:
    pose = Pose(1.0, 3.0, 0.0)
    speed, turn = planned(room(), pose, (6.0, 3.0))
    assert speed == pytest.approx(robot.SPEED_M_S, rel=0.05) and abs(turn) < 0.4
    assert planned(room(box(2.6, 2.7, 1.0)), pose, (6.0, 3.0))[1] > 0.05
    assert planned(room(box(2.6, 3.3, 1.0)), pose, (6.0, 3.0))[1] < -0.05


def test_what_is_low_is_remembered_where_the_camera_does_not_see_it() -> None:
    world = room(box(4.0, 3.0, 0.3))
    memory, far, near = Memory((1.5, 3.0)), Pose(1.5, 3.0, 0.0), Pose(3.3, 3.0, 0.0)
    memory.observe(far, true_scan(world, far, SENSOR))
    here = memory.grid.cell((3.86, 3.0))
    assert memory.occupied[here]
    ranges, *_ = true_scan(world, near, SENSOR)
    assert 3.86 - near.x < blind_m() and np.nanmin(ranges) > 1.0
    for _ in range(10):
        memory.observe(near, true_scan(world, near, SENSOR))
    assert memory.occupied[here]


def test_what_has_gone_is_cleared() -> None:
    pose = Pose(1.0, 3.0, 0.0)
    memory = Memory((pose.x, pose.y))
    memory.observe(pose, true_scan(room(box(3.4, 3.0, 0.6)), pose, SENSOR))
    assert memory.occupied[memory.grid.cell((3.11, 3.0))]
    for _ in range(4):
        memory.observe(pose, true_scan(room(), pose, SENSOR))
    assert not memory.occupied[memory.grid.cell((3.11, 3.0))]


def test_rows_without_floor_removal_take_the_floor_for_an_obstacle() -> None:
    pose = Pose(1.0, 3.0, 0.0)
    depth, camera = true_depth(room(), pose), pinhole(DIVISOR)
    truth = true_scan(room(), pose, SENSOR)[0]
    assert np.nanmin(truth) > 3.0  # the side walls, 3 m off, leave the view farther on
    ranges, first, increment = row_scan(depth, camera, len(depth))
    ahead = ranges[round(-first / increment)]
    bottom = math.atan(-(len(depth) - 1 - camera.cy) / camera.fy) + MOUNT.pitch
    # the range is the depth along the axis of the lowest pixel, as if the camera were level
    assert ahead == pytest.approx(
        MOUNT.height / -math.sin(bottom) * math.cos(bottom - MOUNT.pitch), rel=1e-3)


def test_few_rows_without_heights_look_over_a_low_box() -> None:
    pose, world = Pose(1.0, 3.0, 0.0), room(box(3.3, 3.0, 0.4))
    few = row_scan(true_depth(world, pose), pinhole(DIVISOR), 10)[0]
    assert np.nanmin(true_scan(world, pose, SENSOR)[0]) == pytest.approx(2.1, abs=0.02)
    assert few.min() > 3.0


def test_one_box_between_start_and_goal_is_driven_around() -> None:
    world = room(box(4.0, 3.0, 0.8))
    course = Course(0, world, Pose(1.5, 3.0, 0.0), (6.5, 3.0), 5.2)
    assert obstructed(world, (1.5, 3.0), course.goal)
    driven = loop.drive(course, true_scan)
    assert driven.outcome == 'reached'
    assert 0.95 < driven.stretch(course) < 1.3
    assert max(abs(y - 3.0) for _, y in driven.trace) > 0.5


def test_who_sees_nothing_drives_into_the_box() -> None:
    course = Course(0, room(box(4.0, 3.0, 0.8)), Pose(1.5, 3.0, 0.0), (6.5, 3.0), 5.2)
    empty = loop.drive(course, lambda world, pose, sensor: true_scan(room(), pose, sensor))
    seen = loop.drive(course, true_scan)
    assert empty.outcome == 'collided'
    assert avoidable([seen], [empty]) == 1 and avoidable([empty], [empty]) == 0
    drives = {'truth': [seen], 'blind': [empty]}
    assert table([course], drives).splitlines()[-1] == '| blind | 0 | 1 | 0 |  |'
    assert failures([course], drives) == 'truth: none\nblind: 0 collided'


def test_courses_are_the_same_each_time_and_lead_round_something() -> None:
    course = draw_course(0)
    assert course == draw_course(0)
    assert obstructed(course.world, (course.start.x, course.start.y), course.goal)
    assert course.shortest >= 3.0


@pytest.mark.slow
def test_depth_feeds_navigation() -> None:
    """The goal of the closed loop: 20 held-out rooms."""
    courses = [draw_course(index) for index in range(20)]
    drives = drive_all(courses, ['true depth', 'demo model'], 2)
    truth, demo = drives.values()
    assert sum(drive.outcome == 'reached' for drive in truth) == 20
    assert sum(drive.outcome == 'reached' for drive in demo) >= 16
    assert avoidable(truth, demo) <= 2
