# SPDX-License-Identifier: Apache-2.0
"""SQLite files whose index is damaged, or whose recorder was killed while it wrote."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.recordings import RecordingError, find_cameras, open_recording, shots
from depth_estimation_ros.recordings.opening import files_of

from .bags import SQLITE, drive, write_rosbag2

SAID = drive(40)

KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('PRAGMA journal_mode=DELETE')
database.execute('PRAGMA cache_size=5')
database.execute('BEGIN')
database.execute(sys.argv[2])
os._exit(9)
"""


def index_of(file: Path) -> slice:
    """Return where the root page of the index lies."""
    with sqlite3.connect(file) as database:
        page, = database.execute('SELECT rootpage FROM sqlite_master WHERE type = "index" '
                                 'AND tbl_name = "messages"').fetchone()
        size, = database.execute('PRAGMA page_size').fetchone()
    database.close()
    return slice((page - 1) * size, page * size)


@pytest.mark.parametrize('seed', range(6))
def test_a_damaged_index_costs_no_message(tmp_path, seed):
    folder = write_rosbag2(tmp_path / 'drive', SAID, SQLITE)
    file = folder / 'drive.db3'
    data, place, rng = bytearray(file.read_bytes()), index_of(file), np.random.default_rng(seed)
    if seed:
        start = place.stop - int(rng.integers(200, 2000))  # where its cells are
        data[start:start + 60] = rng.bytes(60)
    else:
        data[place] = bytes(place.stop - place.start)
    file.write_bytes(data)
    recording = open_recording(folder)
    assert [record.time for record in recording.records()] == sorted(one.time for one in SAID)
    assert len(list(shots(recording, find_cameras(recording)[0]))) == 40
    warning, = recording.warnings
    assert 'its index is damaged; it is read without' in warning and 'REINDEX' in warning


def killed(folder: Path, statement: str) -> Path:
    """Leave the journal of a recorder that is killed within a transaction."""
    file = write_rosbag2(folder, SAID, SQLITE) / 'drive.db3'
    subprocess.run([sys.executable, '-c', KILLED, str(file), statement], timeout=60, check=False)
    assert (folder / 'drive.db3-journal').stat().st_size
    return file


@pytest.mark.parametrize('statement', [
    'INSERT INTO messages(topic_id, timestamp, data) SELECT topic_id, timestamp + 60000000000,'
    ' data FROM messages',
    'UPDATE messages SET data = zeroblob(9000)', 'DELETE FROM messages WHERE id % 3'])
def test_a_journal_that_a_killed_recorder_left_is_named(tmp_path, statement):
    file = killed(tmp_path / 'drive', statement)
    for source in (file, file.parent):
        assert file.with_name('drive.db3-journal') in files_of(source)  # a copy needs it
        try:
            recording = open_recording(source)
            assert all(len(record.data) for record in recording.records())
            said = '\n'.join(recording.warnings)
        except RecordingError as error:
            said = str(error)
        assert 'left drive.db3-journal' in said and 'sqlite3 drive.db3 .tables' in said


def test_what_is_advised_for_a_journal_gives_all(tmp_path):
    file = killed(tmp_path / 'drive', 'UPDATE messages SET data = zeroblob(9000)')
    folder = Path(shutil.copytree(file.parent, tmp_path / 'copy'))
    with sqlite3.connect(folder / file.name) as database:
        database.execute('SELECT name FROM sqlite_master').fetchall()  # as .tables does
    database.close()
    recording = open_recording(folder)
    assert sum(1 for _ in recording.records()) == len(SAID)
    assert not recording.warnings
