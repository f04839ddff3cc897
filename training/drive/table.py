# SPDX-License-Identifier: Apache-2.0
"""What became of all drives, as a Markdown table."""

from training.drive.course import Course
from training.drive.loop import Drive

Drives = dict[str, list[Drive]]
"""For each source the drives, in the courses' order."""


def table(courses: list[Course], drives: Drives) -> str:
    """Format a line a source."""
    lines = ['| scan of | reached | collided | stuck | way driven over the shortest |',
             '|---|---|---|---|---|']
    return '\n'.join(lines + [_row(name, courses, of) for name, of in drives.items()])


def _row(name: str, courses: list[Course], drives: list[Drive]) -> str:
    count = [sum(drive.outcome == outcome for drive in drives)
             for outcome in ('reached', 'collided', 'stuck')]
    return f'| {name} | {count[0]} | {count[1]} | {count[2]} | {_mean_stretch(courses, drives)} |'


def _mean_stretch(courses: list[Course], drives: list[Drive]) -> str:
    """Return the mean over the drives that reached the goal."""
    values = [drive.stretch(course) for course, drive in zip(courses, drives)
              if drive.outcome == 'reached']
    return f'{sum(values) / len(values):.2f}' if values else ''


def avoidable(truth: list[Drive], drives: list[Drive]) -> int:
    """Count the collisions in courses where the drive by true depth had none."""
    return sum(drive.outcome == 'collided' != true.outcome
               for true, drive in zip(truth, drives))


def failures(courses: list[Course], drives: Drives) -> str:
    """Name the rooms where the goal was not reached, a line a source."""
    lines = []
    for name, of in drives.items():
        rooms = [f'{course.index} {drive.outcome}' for course, drive in zip(courses, of)
                 if drive.outcome != 'reached']
        lines.append(f'{name}: {", ".join(rooms) or "none"}')
    return '\n'.join(lines)
