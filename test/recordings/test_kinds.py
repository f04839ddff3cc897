# SPDX-License-Identifier: Apache-2.0
"""Every kind of recording yields the same messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.recordings import (
    Recording,
    RecordingError,
    find_cameras,
    mcap_layout,
    metres,
    open_recording,
    shots,
)
from depth_estimation_ros.recordings.types import COMMON, Types, store_of

from .bags import (
    INFO,
    KINDS,
    ROS1_TYPES,
    START,
    TYPES,
    drive,
    info,
    write_kind,
    write_mcap,
)

SAID = drive()


@pytest.fixture(params=KINDS)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    return open_recording(write_kind(request.param, tmp_path, SAID))


def test_the_topics_and_their_types(recording):
    assert recording.topics == {one.topic: one.type for one in SAID}


def test_all_messages_in_the_order_of_their_times(recording):
    records = list(recording.records())
    assert [record.time for record in records] == sorted(one.time for one in SAID)
    found = sorted((record.topic, record.time, record.data) for record in records)
    assert found == sorted((one.topic, one.time, one.data) for one in SAID)


def test_the_fields_of_the_messages(recording):
    by_topic = {record.topic: record.message for record in recording.records()}
    last = {one.topic: one.message for one in SAID}
    assert np.array_equal(by_topic['/cam/image_raw'].data, last['/cam/image_raw'].data)
    assert np.array_equal(by_topic['/cam/camera_info'].k, last['/cam/camera_info'].k)
    assert by_topic['/chatter'].data == last['/chatter'].data


def test_some_topics_only_and_again(recording):
    for _ in range(2):
        assert [record.topic for record in recording.records(['/chatter'])] == ['/chatter'] * 12
    assert recording.count('/chatter') == 12


def test_the_camera_with_its_calibration_and_depth(recording):
    camera, = find_cameras(recording)
    made = list(shots(recording, camera))
    assert len(made) == 12
    depths = [one.message for one in SAID if one.topic == '/cam/aligned_depth/image_raw']
    for shot, depth in zip(made, depths, strict=True):
        assert shot.info is not None and shot.truth is not None
        assert shot.info.message.k[0] == 500.0
        expected = np.frombuffer(depth.data, np.uint16).reshape(48, 64) / 1000
        assert np.allclose(metres(shot.truth.message), expected)


@pytest.mark.parametrize(('kind', 'named'), [
    ('no metadata.yaml', 'ros2 bag reindex'), ('broken metadata.yaml', 'ros2 bag reindex'),
    ('metadata of a renamed file', 'before.mcap'), ('.mcap without index', 'no index')])
def test_what_is_missing_is_named(tmp_path, kind, named):
    recording = open_recording(write_kind(kind, tmp_path, SAID))
    assert named in ' '.join(recording.warnings)


@pytest.mark.parametrize('kind', ['mcap directory', 'lone .mcap', 'lone .db3', 'ROS 1 .bag',
                                  '.mcap without chunks',
                                  'sqlite3 directory, messages compressed'])
def test_a_sound_recording_gets_no_warning(tmp_path, kind):
    recording = open_recording(write_kind(kind, tmp_path, SAID))
    assert list(shots(recording, find_cameras(recording)[0]))
    assert not recording.warnings


def test_a_custom_type_is_decoded_by_its_definition_in_the_recording(tmp_path):
    from mcap.writer import Writer
    with (tmp_path / 'custom.mcap').open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('my_msgs/msg/Pair', 'ros2msg', b'int32 left\nint32 right')
        channel = writer.register_channel('/pair', 'cdr', schema)
        writer.add_message(channel, 5, b'\0\1\0\0\3\0\0\0\4\0\0\0', 5)
        other = writer.register_schema('foxglove.Log', 'jsonschema', b'{}')
        writer.add_message(writer.register_channel('/log', 'json', other), 6, b'{}', 6)
        writer.finish()
    recording = open_recording(tmp_path / 'custom.mcap')
    record, = recording.records()
    assert (record.message.left, record.message.right) == (3, 4)
    assert '/log' in recording.warnings[0] and 'json' in recording.warnings[0]


def test_chunks_without_a_wanted_topic_are_not_opened(tmp_path, monkeypatch):
    chatter = [one for one in SAID if one.topic == '/chatter']
    others = [one for one in SAID if one.topic != '/chatter']
    path = write_mcap(tmp_path / 'drive.mcap', [*others, *chatter])
    opened = []
    open_block = mcap_layout.open_block

    def noted(stream, block):
        opened.append(block)
        return open_block(stream, block)

    monkeypatch.setattr(mcap_layout, 'open_block', noted)
    recording = open_recording(path)
    assert len(list(recording.records(['/chatter']))) == 12
    some = len(opened)
    assert len(list(recording.records())) == len(SAID)
    assert 0 < some < (len(opened) - some) / 3


def test_ros1_messages_in_mcap_come_out_as_ros2s(tmp_path):
    from mcap.writer import Writer
    with (tmp_path / 'ros1.mcap').open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros1')
        text, _ = ROS1_TYPES.generate_msgdef(INFO, ros_version=1)
        schema = writer.register_schema('sensor_msgs/CameraInfo', 'ros1msg', text.encode())
        channel = writer.register_channel('/cam/camera_info', 'ros1', schema)
        said = info(START)
        writer.add_message(channel, START, bytes(TYPES.cdr_to_ros1(said.data, INFO)), START)
        writer.finish()
    record, = open_recording(tmp_path / 'ros1.mcap').records()
    assert (record.type, record.data) == (INFO, said.data)
    assert record.message.k[0] == 500.0


@pytest.mark.parametrize('kind', COMMON)
def test_a_common_type_needs_no_definition_in_the_recording(kind):
    store = store_of(kind, '')
    assert kind in store.types and store.generate_msgdef(kind, ros_version=2)[0]


def test_an_unknown_type_is_named():
    with pytest.raises(RecordingError, match='my_msgs/msg/Nothing'):
        Types().decode(SAID[0].data, 'my_msgs/msg/Nothing')
