# SPDX-License-Identifier: Apache-2.0
"""Reading takes the memory of a few messages, however many there are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode

from .bags import (
    MCAP,
    PERIOD,
    SQLITE,
    START,
    Said,
    image,
    info,
    write_mcap,
    write_ros1,
    write_rosbag2,
)

FRAMES, SHAPE = 200, (600, 800, 3)
MEGABYTES = FRAMES * int(np.prod(SHAPE)) / 1e6
GROWTH = 60.0
"""Megabytes that reading may take beyond the first moment, of a recording of 288."""

READ = """
import resource, sys
from depth_estimation_ros.recordings import find_cameras, open_recording, shots

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

recording = open_recording(sys.argv[1])
stream = shots(recording, find_cameras(recording)[0])
total = len(next(stream).image.message.data)
before = peak()
for shot in stream:
    total += len(shot.image.message.data)
print(total / 1e6, peak() - before)
"""


def long_drive() -> Iterator[Said]:
    """Yield images that fill SHAPE, and their calibration; the depth is large too."""
    for number in range(FRAMES):
        time = START + number * PERIOD
        yield image(np.full(SHAPE, number % 256, np.uint8), 'bgr8', time)
        yield info(time)


WRITERS = {
    'mcap': lambda path: write_rosbag2(path, long_drive(), MCAP),
    'mcap, compressed': lambda path: write_rosbag2(path, long_drive(), MCAP,
                                                   CompressionMode.STORAGE),
    'mcap, file compressed': lambda path: write_rosbag2(path, long_drive(), MCAP,
                                                        CompressionMode.FILE),
    'mcap without chunks': lambda path: write_mcap(path.with_suffix('.mcap'), long_drive(),
                                                   use_chunking=False),
    'sqlite3': lambda path: write_rosbag2(path, long_drive(), SQLITE),
    'ROS 1': lambda path: write_ros1(path.with_suffix('.bag'), long_drive()),
}


@pytest.mark.parametrize('kind', WRITERS)
def test_a_recording_several_times_the_limit_is_read_within_it(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / 'drive')
    done = subprocess.run([sys.executable, '-c', READ, str(path)], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    total, growth = map(float, done.stdout.split())
    assert total == MEGABYTES > 4 * GROWTH
    assert growth < GROWTH, f'{growth:.0f} MB more for {total:.0f} MB'
