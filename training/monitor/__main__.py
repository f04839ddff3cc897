# SPDX-License-Identifier: Apache-2.0
"""Try the safety monitor on rendered faults: `python -m training.monitor`."""

import argparse
from pathlib import Path

import cv2
import torch

from training.monitor.cost import cost
from training.monitor.depths import measured_depths
from training.monitor.table import draw, lines, rival_lines
from training.monitor.trials import measured

ROOMS = 40


def main() -> None:
    """Print the table, and what a look costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rooms', type=int, default=ROOMS,
                        help='so many to take limits from, and as many others to report')
    parser.add_argument('--output', type=Path, help='a PNG file for the curves')
    parser.add_argument('--depth', action='store_true',
                        help="measure the demo model's depth in place of images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    trial = measured_depths if options.depth else measured
    reported, chosen = trial('test', options.rooms), trial('validation', options.rooms)
    print(*lines(chosen, reported), '', sep='\n')
    if not options.depth:
        print(*rival_lines(chosen, reported), '', *cost(), sep='\n')
    if options.output:
        draw(dict(reported.rocs()), options.output)


if __name__ == '__main__':
    main()
