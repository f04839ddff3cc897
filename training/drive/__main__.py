# SPDX-License-Identifier: Apache-2.0
"""Drive through held-out rooms by several scans: `python -m training.drive` prints the table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from training.drive.course import Course, draw_course
from training.drive.loop import drive
from training.drive.picture import draw
from training.drive.sources import Source, sources
from training.drive.table import Drives, avoidable, failures, table


def drive_all(courses: Sequence[Course], by: dict[str, Source]) -> Drives:
    """Send every source through every room."""
    return {name: [drive(course, source) for course in tqdm(courses, desc=name)]
            for name, source in by.items()}


def main() -> None:
    """Print the table, and draw the floor plans where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rooms', type=int, default=20, help='how many')
    parser.add_argument('--first', type=int, default=0, help='scene of the test split')
    parser.add_argument('--output', type=Path, help='a PNG file for the floor plans')
    parser.add_argument('--shown', type=int, nargs='+', default=[0, 1],
                        help='rooms in it, counted from the first')
    parser.add_argument('--threads', type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    courses = [draw_course(options.first + index) for index in range(options.rooms)]
    drives = drive_all(courses, sources())
    truth, demo, *_ = drives.values()
    print(table(courses, drives), f'not reached:\n{failures(courses, drives)}',
          f'collisions of the demo model that true depth avoided: {avoidable(truth, demo)}',
          sep='\n\n')
    if options.output:
        draw(courses, drives, options.shown, options.output)


if __name__ == '__main__':
    main()
