# SPDX-License-Identifier: Apache-2.0
"""A run that was killed goes on, and its output is that of an undisturbed one, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from depth_estimation_ros.offline.one_pass import Process
from depth_estimation_ros.offline.partial import Partial
from depth_estimation_ros.offline.parts import source_of

from ..recordings.bags import PERIOD, START, image, leave_log
from .conftest import frames
from .test_process_bag import raw


def resumed_after(kills: int, source: Path, folder: Path, model: Path, seed: int) -> int:
    """Kill runs at random moments; return how many had finished parts to go on from."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, '-m', 'test.offline.kills', str(source), str(folder),
         str(model), str(kills), str(seed)], capture_output=True, text=True, timeout=550,
        check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_few_kills(tmp_path, bag, checkpoint):
    resumed_after(2, bag(frames(30)), tmp_path / 'here', checkpoint, 5)


@pytest.mark.slow
def test_twenty_kills(tmp_path, bag, checkpoint):
    assert resumed_after(20, bag(frames(60)), tmp_path / 'here', checkpoint, 1) >= 3


def test_what_readers_touch_does_not_change_a_recording(tmp_path, bag):
    folder = bag(frames(2), storage=StoragePlugin.SQLITE3)
    with leave_log(folder):
        before = source_of(str(folder))
        assert [Path(name).name for name, *_ in before] == [
            'in.db3', 'in.db3-wal', 'metadata.yaml']
        os.utime(next(folder.glob('*-shm')))
        (folder / 'notes.txt').touch()
        assert source_of(str(folder)) == before


def test_a_run_goes_on_where_the_last_one_ended(tmp_path, bag, process, monkeypatch):
    rng = np.random.default_rng(2)  # 12 bits, as the first images show and the last do not
    source = bag([image(rng.integers(0, 4096 if number < 3 else 300, (96, 128), np.uint16),
                        'mono16', START + number * PERIOD) for number in range(12)])
    process(source, tmp_path / 'expected', part=0.1)
    whole = Partial.finish

    def third(self, number, accounts):
        if number == 2:
            raise KeyboardInterrupt
        whole(self, number, accounts)

    monkeypatch.setattr(Partial, 'finish', third)
    with pytest.raises(KeyboardInterrupt):
        process(source, tmp_path / 'out', part=0.1)
    begun = []
    monkeypatch.setattr(Partial, 'finish', whole)
    before = Process.make

    def noted(self):
        begun.append(self.part)
        return before(self)

    monkeypatch.setattr(Process, 'make', noted)
    assert not (tmp_path / 'out').exists()
    process(source, tmp_path / 'out', part=0.1)
    assert begun == [2, 3]
    assert raw(tmp_path / 'out') == raw(tmp_path / 'expected')
