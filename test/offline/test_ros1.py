# SPDX-License-Identifier: Apache-2.0
"""ROS 1 recordings become ROS 2's: latched topics, types of their own, and standard ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ..recordings.bags import START, TYPES, Said
from .conftest import frames
from .test_process_bag import decoded, information

KIND = 'acme_msgs/msg/Reading'
TEXT = ('std_msgs/Header header\nacme_msgs/Value[] values\n' + '=' * 80 + '\n'
        'MSG: acme_msgs/Value\nfloat32 volts\ntime measured\n')


def custom_types() -> Typestore:
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(get_types_from_msg(TEXT, KIND))
    store.register(get_types_from_msg('geometry_msgs/TransformStamped[] transforms\n',
                                      'tf2_msgs/msg/TFMessage'))
    return store


CUSTOM = custom_types()


def reading() -> bytes:
    types = CUSTOM.types
    stamp = types['builtin_interfaces/msg/Time'](5, 6)
    header = types['std_msgs/msg/Header'](seq=7, stamp=stamp, frame_id='battery')
    value = types['acme_msgs/msg/Value'](volts=12.5, measured=stamp)
    return bytes(CUSTOM.serialize_ros1(types[KIND](header, [value]), KIND))


def transforms() -> Said:
    return Said('/tf_static', 'tf2_msgs/msg/TFMessage', START,
                TYPES.types['tf2_msgs/msg/TFMessage']([]))


def ros1_data(one: Said) -> bytes:
    return bytes(TYPES.cdr_to_ros1(one.data, one.type))


def write_bag(path: Path, said: Iterable[Said]) -> Path:
    path = path.with_suffix('.bag')
    with Ros1Writer(path) as writer:
        own = writer.add_connection('/battery', KIND, typestore=CUSTOM)
        writer.write(own, START, reading())
        topics = {}
        for one in said:
            if one.topic not in topics:
                topics[one.topic] = writer.add_connection(
                    one.topic, one.type, typestore=CUSTOM,
                    latching=int(one.topic == '/tf_static'))
            writer.write(topics[one.topic], one.time, ros1_data(one))
    return path


def write_mcap(path: Path, said: Iterable[Said]) -> Path:
    """Write what the MCAP command makes of a ROS 1 bag."""
    path = path.with_suffix('.mcap')
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros1')

        def channel(topic: str, kind: str, text: str) -> int:
            schema = writer.register_schema(kind.replace('/msg/', '/'), 'ros1msg', text.encode())
            return writer.register_channel(
                topic, 'ros1', schema, {'latching': '1'} if topic == '/tf_static' else {})

        writer.add_message(channel('/battery', KIND, CUSTOM.generate_msgdef(KIND)[0]), START,
                           reading(), START)
        topics = {}
        for one in said:
            if one.topic not in topics:
                topics[one.topic] = channel(one.topic, one.type,
                                            CUSTOM.generate_msgdef(one.type)[0])
            writer.add_message(topics[one.topic], one.time, ros1_data(one), one.time)
        writer.finish()
    return path


@pytest.mark.parametrize('write', [write_bag, write_mcap])
def test_what_ros2_needs_is_in_the_output(
        tmp_path: Path, process: Callable[..., object], estimated: Callable[..., object],
        write: Callable[..., Path]) -> None:
    source = write(tmp_path / 'in', [transforms(), *frames(2)])
    process(source, tmp_path / 'out')
    topics = {entry['topic_metadata']['name']: entry['topic_metadata']
              for entry in information(tmp_path / 'out')['topics_with_message_count']}
    profile, = topics['/tf_static']['offered_qos_profiles']
    assert (profile['durability'], profile['reliability'], profile['depth']) == (
        'transient_local', 'reliable', 1)
    assert topics['/cam/image_raw']['offered_qos_profiles'] == []
    found = decoded(tmp_path / 'out')
    (_, own), = found['/battery']
    assert (own.header.frame_id, own.values[0].volts, own.values[0].measured.nanosec) == (
        'battery', 12.5, 6)
    assert found['/cam/camera_info'][0][1].k[0] == 500.0
    estimated(tmp_path / 'out', tmp_path / 'files')
