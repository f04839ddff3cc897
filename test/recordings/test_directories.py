# SPDX-License-Identifier: Apache-2.0
"""Directories whose metadata.yaml says other than the files do, and files that are there twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
import zstandard
from rosbags.rosbag2 import CompressionMode

from depth_estimation_ros.recordings import find_cameras, open_recording, shots

from .bags import MCAP, SQLITE, drive, write_mcap, write_ros1, write_rosbag2

SAID = drive()


def times(path: Path) -> tuple[list[int], str]:
    recording = open_recording(path)
    return [record.time for record in recording.records()], '\n'.join(recording.warnings)


def test_a_file_that_was_being_compressed_is_read_once(tmp_path):
    folder = write_rosbag2(tmp_path / 'drive', SAID)
    (folder / 'metadata.yaml').unlink()
    plain = folder / 'drive.mcap'
    packed = folder / 'drive.mcap.zstd'
    packed.write_bytes(zstandard.compress(plain.read_bytes())[:4000])
    found, said = times(folder)
    assert len(found) == len(SAID)
    assert 'drive.mcap.zstd is left out, as drive.mcap beside it is read' in said
    assert 'does not list' not in said


def test_the_finished_files_before_it_are_read_too(tmp_path):
    for number, part in enumerate((SAID[:24], SAID[24:])):
        path = write_mcap(tmp_path / f'drive_{number}.mcap', part)
        (tmp_path / f'{path.name}.zstd').write_bytes(zstandard.compress(path.read_bytes()))
    (tmp_path / 'drive_0.mcap').unlink()
    found, said = times(tmp_path)
    assert len(found) == len(SAID)
    assert said.count('left out') == 1 and 'does not list' not in said


@pytest.mark.parametrize('storage', [MCAP, SQLITE])
@pytest.mark.parametrize('mode', [CompressionMode.NONE, CompressionMode.FILE])
def test_counts_of_zero_over_full_files_are_not_believed(tmp_path, storage, mode):
    folder = write_rosbag2(tmp_path / 'drive', SAID, storage, mode)
    metadata = folder / 'metadata.yaml'
    metadata.write_text(re.sub(r'message_count: \d+', 'message_count: 0', metadata.read_text()))
    recording = open_recording(folder)
    assert len(list(shots(recording, find_cameras(recording)[0]))) == 12
    assert recording.channels['/cam/image_raw'].count == 12
    warning, = recording.warnings
    assert 'counts fewer messages than' in warning and f'ros2 bag reindex {folder}' in warning


def test_a_wrong_starting_time_does_not_disorder_the_records(tmp_path):
    folder = tmp_path / 'drive'
    first, second = (write_rosbag2(tmp_path / f'drive_{number}', said)
                     for number, said in enumerate((SAID[:24], SAID[24:])))
    found = yaml.safe_load((first / 'metadata.yaml').read_text())
    information = found['rosbag2_bagfile_information']
    folder.mkdir()
    for part in (first, second):
        (part / f'{part.name}.mcap').rename(folder / f'{part.name}.mcap')
    names = [file.name for file in sorted(folder.iterdir())]
    entry, = information['files']
    information |= {'relative_file_paths': names, 'message_count': 48, 'files': [
        {**entry, 'path': name, 'starting_time': {'nanoseconds_since_epoch': start}}
        for name, start in zip(names, (2**63 - 1, SAID[24].time), strict=True)]}
    for topic in information['topics_with_message_count']:
        topic['message_count'] = 12
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(found))
    assert times(folder) == (sorted(one.time for one in SAID), '')
    assert open_recording(folder).start == SAID[0].time


def test_a_folder_of_ros1_bags_needs_no_metadata(tmp_path):
    write_ros1(tmp_path / 'drive_0.bag', SAID[:24])
    write_ros1(tmp_path / 'drive_1.bag', SAID[24:])
    assert times(tmp_path) == (sorted(one.time for one in SAID), '')
