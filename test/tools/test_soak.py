# SPDX-License-Identifier: Apache-2.0
"""The soak's figures and verdict; and the whole of it, briefly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from depth_estimation_ros.tools.soak_report import Readings, faults, picture, report

CAMERAS = {'front': {'received': '10', 'published': '6', 'dropped_replaced': '3',
                     'dropped_too_old': '1', 'fps': '1.5'},
           'rear': {'received': '5', 'published': '5'}}


def readings(*rss_mb: float, first: int = 0) -> Readings:
    count = len(rss_mb)
    return Readings(seconds=[float(second) for second in range(count)], rss_mb=list(rss_mb),
                    threads=list(range(count)), handles=[7] * count, first=first)


def test_frames_add_up_over_the_cameras() -> None:
    figures = report(readings(100.0, 100.0), CAMERAS)
    assert (figures['frames_in'], figures['frames_out'], figures['unaccounted']) == (15, 11, 0)
    assert figures['dropped'] == {'replaced': 3, 'too_old': 1}
    assert faults(figures) == []


def test_a_frame_that_nobody_knows_of_is_a_fault() -> None:
    lost = {'front': {**CAMERAS['front'], 'received': '12'}}
    fault, = faults(report(readings(100.0, 100.0), lost))
    assert '2 frames are unaccounted for' in fault


@pytest.mark.parametrize(('rss_mb', 'grown'), [
    ((100.0, 100.0, 100.0, 102.0), False), ((100.0, 100.0, 100.0, 102.1), True),
    ((100.0, 200.0, 200.0, 200.0), False)])
def test_memory_may_not_grow_after_the_first_quarter(
        rss_mb: tuple[float, ...], grown: bool) -> None:
    found = faults(report(readings(*rss_mb), CAMERAS))
    assert [fault.split(' by')[0] for fault in found] == ['memory grew'] * grown


def test_what_is_read_while_networks_are_built_is_shown_and_not_measured() -> None:
    figures = report(readings(10.0, 50.0, 100.0, 100.0, 101.0, 101.0, first=2), CAMERAS)
    assert (figures['rss_mb_start'], figures['rss_mb_end']) == (100.0, 101.0)
    assert figures['seconds'] == 4 and figures['threads'] == [2, 5]
    assert figures['rss_mb'][0] == (0.0, 10.0) and len(figures['rss_mb']) == 6


def test_this_process_can_be_read() -> None:
    taken = Readings()
    taken.read(os.getpid())
    assert 10 < taken.rss_mb[0] < 1e5 and taken.threads[0] >= 1 and taken.handles[0] >= 3


def test_the_picture_shows_the_curve(tmp_path: Path) -> None:
    picture(readings(10.0, 50.0, 100.0, 101.0, first=2), tmp_path / 'memory.png')
    image = cv2.imread(str(tmp_path / 'memory.png'))
    assert image is not None and image.std() > 5


@pytest.mark.slow
def test_the_soak_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.tools.soak', '--seconds', '20', '--output',
         str(tmp_path)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'report.json').read_text())
    assert figures['unaccounted'] == 0 and figures['frames_out'] > 20
    assert figures['seconds'] == 20 and (tmp_path / 'memory.png').exists()
    assert 'Memory of the node' in (tmp_path / 'report.html').read_text()
