# SPDX-License-Identifier: Apache-2.0
"""Drive through held-out rooms by several scans: `python -m training.drive` prints the table."""

import argparse
import os
from pathlib import Path

from training.drive.course import draw_course
from training.drive.parallel import drive_all
from training.drive.picture import draw
from training.drive.sources import SOURCES
from training.drive.table import avoidable, failures, table


def main() -> None:
    """Print the table, and draw the floor plans where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rooms', type=int, default=20, help='how many')
    parser.add_argument('--first', type=int, default=0, help='scene of the test split')
    parser.add_argument('--output', type=Path, help='a PNG file for the floor plans')
    parser.add_argument('--shown', type=int, nargs='+', default=[0, 1],
                        help='rooms in it, counted from the first')
    parser.add_argument('--processes', type=int, default=os.cpu_count())
    options = parser.parse_args()
    courses = [draw_course(options.first + index) for index in range(options.rooms)]
    drives = drive_all(courses, list(SOURCES), options.processes)
    truth, demo, *_ = drives.values()
    print(table(courses, drives), f'not reached:\n{failures(courses, drives)}',
          f'collisions of the demo model that true depth avoided: {avoidable(truth, demo)}',
          sep='\n\n')
    if options.output:
        draw(courses, drives, options.shown, options.output)


if __name__ == '__main__':
    main()
