# SPDX-License-Identifier: Apache-2.0
"""Definitions of message types as other programs write them down."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Ros1Writer

from depth_estimation_ros.recordings import Writer, find_cameras, open_recording
from depth_estimation_ros.recordings.cameras import check_registered
from depth_estimation_ros.recordings.types import store_of
from depth_estimation_ros.ros.camera_info import calibration_of

from .bags import INFO, START, TYPES, image, info

RULE = '=' * 80 + '\n'
ODD = ('Header header\nint32 X=5 # five\nstring[] names\n'
       f'{RULE}MSG: std_msgs/Header\nuint32 seq\ntime stamp\nstring frame_id\n')
DATA = struct.pack('<IIII1sII2s', 3, 5, 6, 1, b'f', 1, 2, b'hi')


@pytest.mark.parametrize('line_end', ['\n', '\r\n'])
def test_a_custom_type_of_ros1_is_read_whatever_ends_its_lines(tmp_path, line_end):
    with Ros1Writer(tmp_path / 'a.bag') as writer:
        connection = writer.add_connection(
            '/odd', 'my_msgs/msg/Odd', msgdef=ODD.replace('\n', line_end), md5sum='0' * 32)
        writer.write(connection, START, DATA)
    recording = open_recording(tmp_path / 'a.bag')
    record, = recording.records()
    assert not recording.warnings
    assert (record.message.header.frame_id, record.message.names) == ('f', ['hi'])
    definition = recording.channels['/odd'].definition
    with Writer(tmp_path / 'copy') as copy:
        copy.add_topic('/odd', record.type, definition=definition)
        copy.write('/odd', record.time, record.data)
    with AnyReader([tmp_path / 'copy']) as reader:
        (connection, _, data), = reader.messages()
        assert reader.deserialize(data, connection.msgtype).names == ['hi']


@pytest.mark.parametrize('text', [
    'std_msgs/Header header\r\nint32 a\r\n',
    f'{RULE}IDL: my_msgs/msg/T\nmodule my_msgs {{ module msg {{\nstruct T {{\n'
    'int32 a;\n}; }; };\n'.replace('\n', '\r\n')])
def test_definitions_of_any_syntax_may_end_lines_by_both_characters(text):
    assert 'my_msgs/msg/T' in store_of('my_msgs/msg/T', text).types


def spelled_as_ros1(path: Path) -> Path:
    """Write a camera whose CameraInfo has the D, K, R and P of ROS 1 in its definition."""
    said = [image(np.zeros((48, 64, 3), np.uint8), 'bgr8', START), info(START),
            image(np.zeros((48, 64), np.uint16), '16UC1', START, frame='far', topic='/far/depth'),
            info(START, frame='far', topic='/far/camera_info')]
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        for one in said:
            text, _ = TYPES.generate_msgdef(one.type)
            for name in 'dkrp' if one.type == INFO else '':
                text = text.replace(f'] {name}\n', f'] {name.upper()}\n')
            schema = writer.register_schema(one.type, 'ros2msg', text.encode())
            writer.add_message(writer.register_channel(one.topic, 'cdr', schema), one.time,
                               one.data, one.time)
        writer.finish()
    return path


def test_a_calibration_is_read_in_upper_case_too(tmp_path):
    recording = open_recording(spelled_as_ros1(tmp_path / 'a.mcap'))
    message = next(recording.records(['/cam/camera_info'])).message
    assert calibration_of(message).k[0] == 500.0 and len(message.r) == 9
    camera, = find_cameras(recording)
    assert camera.info == '/cam/camera_info'
    check_registered(recording, find_cameras(recording, truth='/far/depth')[0])


def test_a_field_that_differs_from_another_by_case_only_keeps_its_name():
    store = store_of(INFO, 'float64[2] d\nfloat64[2] D')
    assert [name for name, _ in store.fielddefs[INFO][1]] == ['d', 'D']
