# SPDX-License-Identifier: Apache-2.0
"""A report takes the memory of the frames that it shows, however many there are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from depth_estimation_ros.report import html_of, report_of

from ..recordings.bags import PERIOD, START, Said, image, write_rosbag2
from .runs import DEPTH, IMAGE

SHAPE = (240, 320)
FEW, MANY = 40, 200
GROWTH = 12.0
"""Megabytes, of 106 by which the longer recording is larger."""


def drive(count: int) -> Iterator[Said]:
    for number in range(count):
        time = START + number * PERIOD
        yield image(np.full((*SHAPE, 3), number % 256, np.uint8), 'bgr8', time, topic=IMAGE)
        depth = np.full(SHAPE, 1 + number / 100, np.float32)
        depth[:number % 100] = np.nan
        yield image(depth, '32FC1', time, topic=DEPTH)


def peak(run: Path) -> float:
    """Megabytes that Python and NumPy have at most while the page is made."""
    tracemalloc.start()
    try:
        html_of(report_of(run))
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    few = write_rosbag2(tmp_path / 'few', drive(FEW))
    many = write_rosbag2(tmp_path / 'many', drive(MANY))
    peak(few)  # what is imported and cached on first use
    assert peak(many) - peak(few) < GROWTH
