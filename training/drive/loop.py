# SPDX-License-Identifier: Apache-2.0
"""One drive: look, remember, plan, move, until the robot is there, hits something or gives up."""

import math
from dataclasses import dataclass

import numpy as np

from training.dataset import SPLITS
from training.drive.clearance import collides
from training.drive.course import SALT, Course
from training.drive.grid import Place, length_m
from training.drive.memory import Memory
from training.drive.planner import Planner
from training.drive.robot import SPEED_M_S, TURN_RAD_S, Pose, step
from training.drive.sources import Source, exposure
from training.sensor import Sensor, draw_sensor

TICK_S = 0.05
FRAME_S, LOOK_S = 0.5, 1.0
"""Seconds from one scan to the next, under way and in the full turn at the start."""
LOOKS = math.ceil(math.tau / (TURN_RAD_S * LOOK_S))
"""Frames of that turn."""
ARRIVED_M = 0.3
PATIENCE, DOUBT = 24, 4
"""Frames in a row without a path after which the robot is stuck, and doubts what it remembers."""
SLOWNESS, SPARE_S = 4.0, 30.0


@dataclass(frozen=True)
class Drive:
    """What became of a drive."""

    outcome: str
    """'reached', 'collided' or 'stuck'."""
    trace: list[Place]

    def stretch(self, course: Course) -> float:
        """Return the way driven, and what is left to the goal, over the shortest one."""
        left = math.dist(self.trace[-1], course.goal)
        return (length_m(self.trace) + left) / course.shortest


def drive(course: Course, source: Source) -> Drive:
    """Drive by a source's scans alone; the pose is exact, as of ideal odometry."""
    pose, trace = course.start, [(course.start.x, course.start.y)]
    memory, planner, sensor = Memory(trace[0]), Planner(course.goal), draw_room_sensor(course)
    lost = 0
    for frame in range(frames_allowed(course)):
        memory.observe(pose, source(course.world, pose, exposure(sensor, frame)))
        if frame >= LOOKS:
            lost = 0 if find_path(planner, memory, pose, lost) else lost + 1
        if lost == PATIENCE:
            break
        for _ in range(round((LOOK_S if frame < LOOKS else FRAME_S) / TICK_S)):
            pose = step(pose, *planner.command(pose), TICK_S)
            trace.append((pose.x, pose.y))
            if (end := outcome(course, pose)) is not None:
                return Drive(end, trace)
    return Drive('stuck', trace)


def find_path(planner: Planner, memory: Memory, pose: Pose, lost: int) -> bool:
    """Plan; where no path is left, doubt the memory every few frames, and plan again."""
    if planner.plan(memory, pose):
        return True
    if lost % DOUBT:
        return False
    memory.doubt()
    return planner.plan(memory, pose)


def outcome(course: Course, pose: Pose) -> str | None:
    """Tell how a drive ends at a pose, None where it goes on."""
    if collides(course.world, pose):
        return 'collided'
    return 'reached' if math.dist((pose.x, pose.y), course.goal) < ARRIVED_M else None


def frames_allowed(course: Course) -> int:
    """Return the frames after which a drive is given up."""
    return LOOKS + math.ceil((SPARE_S + SLOWNESS * course.shortest / SPEED_M_S) / FRAME_S)


def draw_room_sensor(course: Course) -> Sensor:
    """Draw the exposure that every frame of a room shares."""
    return draw_sensor(np.random.default_rng([SPLITS.index('test'), course.index, SALT, 1]))
