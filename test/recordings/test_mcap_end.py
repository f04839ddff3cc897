# SPDX-License-Identifier: Apache-2.0
"""What stands at the end of an MCAP file, much of which the format leaves open."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcap.writer import IndexType
from mcap.writer import Writer as McapWriter

from depth_estimation_ros.recordings import find_cameras, open_recording, shots

from .bags import TYPES, drive, write_mcap, write_rosbag2

SAID = drive()


def with_more(path: Path, **options: bool) -> Path:
    """Write an attachment and metadata of a user's, beside the metadata that rosbag2 writes."""
    with path.open('wb') as file:
        writer = McapWriter(file, **options)
        writer.start(profile='ros2')
        one = SAID[0]
        schema = writer.register_schema(one.type, 'ros2msg',
                                        TYPES.generate_msgdef(one.type)[0].encode())
        writer.add_message(writer.register_channel(one.topic, 'cdr', schema), one.time, one.data,
                           one.time)
        writer.add_attachment(1, 1, 'lens.yaml', 'text/plain', b'abc')
        writer.add_metadata('robot', {'serial': '7'})
        writer.add_metadata('rosbag2', {'serialized_metadata': ''})
        writer.finish()
    return path


def test_statistics_may_leave_out_the_counts_of_topics(tmp_path, monkeypatch):
    finish = McapWriter.finish

    def without_counts(writer):
        writer._Writer__statistics.channel_message_counts.clear()
        finish(writer)

    monkeypatch.setattr(McapWriter, 'finish', without_counts)
    recording = open_recording(write_mcap(tmp_path / 'drive.mcap', SAID))
    assert len(list(shots(recording, find_cameras(recording)[0]))) == 12
    assert recording.channels['/chatter'].count is None and recording.count('/chatter') == 12
    assert not recording.warnings


@pytest.mark.parametrize('options', [
    {'repeat_channels': False}, {'repeat_schemas': False}, {'index_types': IndexType.CHUNK},
    {'repeat_channels': False, 'repeat_schemas': False, 'use_statistics': False}])
def test_a_recorder_that_ended_as_it_should_is_not_blamed(tmp_path, options):
    recording = open_recording(write_mcap(tmp_path / 'drive.mcap', SAID, **options))
    assert sum(1 for _ in recording.records()) == len(SAID)
    assert 'did not end' not in '\n'.join(recording.warnings)


def test_an_empty_file_gets_no_warning(tmp_path):
    assert not open_recording(write_mcap(tmp_path / 'drive.mcap', [])).warnings


@pytest.mark.parametrize('options', [{}, {'repeat_channels': False}])
def test_attachments_and_metadata_are_named_as_not_read(tmp_path, options):
    warning = open_recording(with_more(tmp_path / 'drive.mcap', **options)).warnings[-1]
    assert warning.endswith('not read, nor kept in a copy: lens.yaml, robot')


def test_what_rosbag2_writes_of_its_own_is_not_named(tmp_path):
    assert not open_recording(write_rosbag2(tmp_path / 'drive', SAID)).warnings
