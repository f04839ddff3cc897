# SPDX-License-Identifier: Apache-2.0
"""A topic has one type; what declares it otherwise is passed over and named."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Ros1Writer

from depth_estimation_ros.recordings import Recording, find_cameras, open_recording
from depth_estimation_ros.recordings.recording import Channel
from depth_estimation_ros.recordings.sources import odd_ones

from .bags import (
    COMPRESSED,
    IMAGE,
    PERIOD,
    ROS1_TYPES,
    SQLITE,
    START,
    TYPES,
    drive,
    image,
    jpeg,
    write_mcap,
    write_rosbag2,
)

TOPIC = '/cam/image'
PIXELS = np.zeros((48, 64, 3), np.uint8)
RAW = [image(PIXELS, 'bgr8', START + number * PERIOD, topic=TOPIC) for number in range(4)]
JPEGS = [jpeg(PIXELS, START + 10**9 + number * PERIOD, topic=TOPIC) for number in range(3)]
ONE_LEFT = 'what is of type sensor_msgs/msg/CompressedImage (3 messages) is passed over'


def in_mcap(path: Path) -> Path:
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        for said, kind in ((RAW, IMAGE), (JPEGS, COMPRESSED)):
            text = TYPES.generate_msgdef(kind)[0].encode()
            channel = writer.register_channel(
                TOPIC, 'cdr', writer.register_schema(kind, 'ros2msg', text))
            for one in said:
                writer.add_message(channel, one.time, one.data, one.time)
        writer.finish()
    return path


def in_ros1(path: Path) -> Path:
    with Ros1Writer(path) as writer:
        for said, kind in ((RAW, IMAGE), (JPEGS, COMPRESSED)):
            connection = writer.add_connection(TOPIC, kind, typestore=ROS1_TYPES)
            for one in said:
                writer.write(connection, one.time, bytes(TYPES.cdr_to_ros1(one.data, kind)))
    return path


def in_sqlite(path: Path) -> Path:
    renamed = [one._replace(topic='/renamed') for one in JPEGS]
    folder = write_rosbag2(path.with_suffix(''), [*RAW, *renamed], SQLITE)
    (folder / 'metadata.yaml').unlink()
    with sqlite3.connect(next(folder.glob('*.db3'))) as database:
        database.execute('UPDATE topics SET name = ? WHERE name = "/renamed"', (TOPIC,))
    database.close()
    return folder


def in_two_files(path: Path) -> Path:
    path.mkdir()
    write_mcap(path / 'drive_0.mcap', RAW)
    write_mcap(path / 'drive_1.mcap', JPEGS)
    return path


@pytest.mark.parametrize('write', [in_mcap, in_ros1, in_sqlite, in_two_files])
def test_of_two_types_that_of_most_messages_is_read(tmp_path, write):
    recording = open_recording(write(tmp_path / 'drive.bag'))
    assert {record.type for record in recording.records()} == {IMAGE}
    assert sorted(record.data for record in recording.records()) == sorted(
        one.data for one in RAW)
    assert ONE_LEFT in '\n'.join(recording.warnings)
    assert recording.topics == {TOPIC: IMAGE} and find_cameras(recording)
    assert recording.channels[TOPIC].count == 4
    assert not any('are lost' in text for text in recording.warnings)


def two_definitions(path: Path, topics: tuple[str, str], texts: tuple[str, str]) -> Recording:
    """Open a file of two channels; the message of each is an int32 of 3, or a string of ab."""
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        for number, (topic, text) in enumerate(zip(topics, texts, strict=True)):
            schema = writer.register_schema('my_msgs/msg/Foo', 'ros2msg', text.encode())
            channel = writer.register_channel(topic, 'cdr', schema)
            writer.add_message(channel, number, b'\0\1\0\0\3\0\0\0ab\0', number)
        writer.finish()
    return open_recording(path)


def test_two_definitions_of_a_topic_are_not_mixed(tmp_path):
    recording = two_definitions(tmp_path / 'a.mcap', ('/foo', '/foo'), ('int32 a', 'string b'))
    record, = recording.records()
    assert (record.time, record.message.a) == (0, 3)
    assert 'another definition (1 messages) is passed over' in '\n'.join(recording.warnings)


def test_definitions_of_the_same_fields_are_one(tmp_path):
    recording = two_definitions(tmp_path / 'a.mcap', ('/foo', '/foo'),
                                ('int32 a', 'int32 MOST=3 # a constant more\r\nint32 a # left'))
    assert [record.message.a for record in recording.records()] == [3, 3]
    assert not recording.warnings


def test_each_channel_is_decoded_by_its_own_definition(tmp_path):
    recording = two_definitions(tmp_path / 'a.mcap', ('/a', '/b'), ('int32 a', 'string b'))
    found = {record.topic: record.message for record in recording.records()}
    assert (found['/a'].a, found['/b'].b) == (3, 'ab')


def test_each_connection_of_ros1_is_decoded_by_its_own_definition(tmp_path):
    with Ros1Writer(tmp_path / 'a.bag') as writer:
        for topic, text in (('/a', 'uint8[6] a\n'), ('/b', 'string b\n')):
            connection = writer.add_connection(topic, 'my_msgs/msg/Foo', msgdef=text,
                                               md5sum=f'{topic[1]:0>32}')
            writer.write(connection, START, b'\2\0\0\0ab')
    records = open_recording(tmp_path / 'a.bag').records()
    found = {record.topic: record.message for record in records}
    assert (list(found['/a'].a), found['/b'].b) == ([2, 0, 0, 0, 97, 98], 'ab')


def test_a_topic_that_sqlite_lists_twice_has_the_messages_of_both(tmp_path):
    said = drive()
    file = next(write_rosbag2(tmp_path / 'drive', said, SQLITE).glob('*.db3'))
    with sqlite3.connect(file) as database:
        names = [row[1] for row in database.execute('PRAGMA table_info(topics)')]
        others = ', '.join(name for name in names if name != 'id')
        database.execute(f'INSERT INTO topics(id, {others}) SELECT id + 90, {others} FROM topics')
    database.close()
    for source in (file, file.parent):
        recording = open_recording(source)
        assert find_cameras(recording)[0].image == '/cam/image_raw'
        assert recording.channels['/cam/image_raw'].count == 12
        assert sum(1 for _ in recording.records()) == len(said)
        assert not recording.warnings


def test_where_nobody_knows_which_are_most_nothing_is_passed_over() -> None:
    assert odd_ones({1: ('/a', Channel('pkg/msg/A', None, 'int32 x')),
                     2: ('/a', Channel('pkg/msg/B', None, 'int32 y'))}) == {}


def test_a_channel_without_definition_is_like_those_of_its_type() -> None:
    assert odd_ones({1: ('/a', Channel('pkg/msg/A', 3, 'int32 x')),
                     2: ('/a', Channel('pkg/msg/A', 4, ''))}) == {}
