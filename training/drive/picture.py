# SPDX-License-Identifier: Apache-2.0
"""Floor plans with the paths that were driven, and one scan."""

from pathlib import Path
from typing import Any

import numpy as np

from training.drive.clearance import clearance
from training.drive.course import Course
from training.drive.loop import draw_room_sensor
from training.drive.memory import end_points
from training.drive.robot import RADIUS_M
from training.drive.sources import true_scan
from training.drive.table import Drives

COLOURS = ('#1b7837', '#2166ac', '#d6604d', '#b08000')
STEP_M = 0.02


def draw(courses: list[Course], drives: Drives, shown: list[int], target: Path) -> None:
    """
    Draw a floor plan a room.

    :param shown: places in the list of courses.
    :param target: the PNG file.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(shown), figsize=(5 * len(shown), 5.4), dpi=90,
                                   squeeze=False)
    for place, axis in zip(shown, axes[0]):
        _floor_plan(axis, courses[place])
        _scan(axis, courses[place])
        _paths(axis, courses[place], drives, place)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='lower center', ncols=2, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.15, 1, 1))
    figure.savefig(target)
    pyplot.close(figure)


def _floor_plan(axis: Any, course: Course) -> None:
    size = course.world.size
    x, y = np.meshgrid(np.arange(0, size[0], STEP_M), np.arange(0, size[1], STEP_M))
    gap = clearance(course.world, x, y)
    axis.contourf(x, y, gap, levels=[-9, 0, RADIUS_M, 99], colors=['#555555', '#dddddd', 'white'])
    axis.set(title=f'room {course.index}, {size[0]:.1f} m x {size[1]:.1f} m', aspect='equal',
             xlim=(-0.05, size[0] + 0.05), ylim=(-0.05, size[1] + 0.05),
             xlabel='metres')


def _scan(axis: Any, course: Course) -> None:
    """Draw the first scan of the true depth, with its outermost rays."""
    scan = true_scan(course.world, course.start, draw_room_sensor(course))
    x, y = end_points(course.start, scan)
    axis.scatter(x, y, s=5, color='black', zorder=4, label='first scan, within 3 m')
    for angle in (scan[1], scan[1] + scan[2] * (len(scan[0]) - 1)):
        bearing = course.start.yaw + angle
        axis.plot([course.start.x, course.start.x + np.cos(bearing)],
                  [course.start.y, course.start.y + np.sin(bearing)], ':', color='black',
                  linewidth=0.8)


def _paths(axis: Any, course: Course, drives: Drives, place: int) -> None:
    """Draw the paths; a cross is a collision, a circle where the robot got stuck."""
    for colour, (name, of) in zip(COLOURS, drives.items()):
        drive = of[place]
        axis.plot(*zip(*drive.trace), color=colour, linewidth=2, label=name)
        if drive.outcome != 'reached':
            axis.plot(*drive.trace[-1], 'X' if drive.outcome == 'collided' else 'o',
                      color=colour, markersize=10, markeredgecolor='white', zorder=6)
    axis.plot(course.start.x, course.start.y, 's', color='black', markersize=8, label='start A')
    axis.plot(*course.goal, '*', color='black', markersize=13, label='goal B')
