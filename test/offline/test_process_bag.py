# SPDX-License-Identifier: Apache-2.0
"""All that was in a bag is in the new one, and depth of every image beside it."""

from __future__ import annotations

import gc
import json
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter
from tqdm import tqdm

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.one_pass import Process
from depth_estimation_ros.offline.process import process_bag
from depth_estimation_ros.recordings import Record, RecordingError, open_recording, stamp_of
from depth_estimation_ros.recordings.qos import FOREVER

from ..recordings.bags import PERIOD, START, TYPES, image, info, jpeg, write_ros1, write_rosbag2
from .conftest import SHAPE, frames

LATCHED = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
              FOREVER, FOREVER, QosLiveliness.AUTOMATIC, FOREVER, False)


def decoded(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Read a directory by mcap and mcap-ros2-support: times and messages by topic."""
    found = defaultdict(list)
    for file in sorted(path.glob('*.mcap')):
        with file.open('rb') as stream:
            for _, channel, message, content in make_reader(
                    stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
                found[channel.topic].append((message.log_time, content))
    return found


def raw(path: Path, topics: set[str] | None = None) -> list[tuple[str, int, bytes]]:
    return sorted((record.topic, record.time, record.data)
                  for record in open_recording(path).records()
                  if topics is None or record.topic in topics)


def information(path: Path) -> dict[str, Any]:
    return yaml.safe_load((path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_all_that_was_there_is_there_and_depth_beside_it(tmp_path, bag, process, storage):
    source = bag(frames(7), storage=storage)
    accounts, warnings = process(source, tmp_path / 'out', preview=True, part=0.1)
    assert not warnings and str(accounts['/cam/image_raw']) == '7 frames, 7 with depth'
    before = raw(source)
    assert raw(tmp_path / 'out', {topic for topic, _, _ in before}) == before
    found = decoded(tmp_path / 'out')
    stamps = [START + number * PERIOD for number in range(7)]
    for topic in ('image_rect', 'camera_info', 'preview'):
        messages = found[f'/cam/depth/{topic}']
        assert [time for time, _ in messages] == stamps
        assert [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
                for _, message in messages] == stamps
        assert all(message.header.frame_id == 'optical' for _, message in messages)


def test_the_depth_is_the_estimators(tmp_path, bag, process, network):
    said = frames(3)
    process(bag(said), tmp_path / 'out')
    estimator = DepthEstimator(EstimatorOptions(
        model=network.model, device='cpu', backend='torch'))
    for (_, depth), one in zip(decoded(tmp_path / 'out')['/cam/depth/image_rect'], said[::3],
                               strict=True):
        rgb = one.message.data.reshape(SHAPE)[:, :, ::-1]
        expected, = estimator.estimate([np.ascontiguousarray(rgb)])
        expected[expected < 0.1] = -np.inf
        expected[expected > estimator.range[1]] = np.inf
        assert (depth.encoding, depth.step) == ('32FC1', 4 * SHAPE[1])
        np.testing.assert_array_equal(
            np.frombuffer(bytes(depth.data), '<f4').reshape(SHAPE[:2]), expected)
    estimator.close()


def test_the_calibration_is_of_the_depth(tmp_path, bag, process):
    process(bag(frames(2)), tmp_path / 'out')  # the camera's is of 64x48, the images of 128x96
    _, found = decoded(tmp_path / 'out')['/cam/depth/camera_info'][0]
    assert (found.width, found.height) == (128, 96)
    assert found.k[0] == 1000.0 and list(found.r) == list(np.eye(3).ravel())


def test_parts_are_the_files_of_one_directory(tmp_path, bag, process):
    source = bag(frames(10))
    process(source, tmp_path / 'out', part=0.1)
    process(source, tmp_path / 'whole', part=60)
    parts, whole = information(tmp_path / 'out'), information(tmp_path / 'whole')
    assert parts['relative_file_paths'] == [f'out_{number}.mcap' for number in range(4)]
    assert whole['relative_file_paths'] == ['whole_0.mcap']
    for key in ('message_count', 'duration', 'starting_time', 'topics_with_message_count'):
        assert parts[key] == whole[key]
    assert raw(tmp_path / 'out') == raw(tmp_path / 'whole')
    with AnyReader([tmp_path / 'out']) as reader:
        assert sum(1 for _ in reader.messages()) == reader.message_count == 50
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_qos_and_topics_without_messages_are_kept(tmp_path, process):
    said = frames(2)
    with RosbagsWriter(tmp_path / 'in', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = {topic: writer.add_connection(
            topic, kind, typestore=TYPES, offered_qos_profiles=[LATCHED, LATCHED])
            for topic, kind in [*dict.fromkeys((one.topic, one.type) for one in said),
                                ('/silent', 'nav_msgs/msg/Odometry')]}
        for one in said:
            writer.write(topics[one.topic], one.time, one.data)
    process(tmp_path / 'in', tmp_path / 'out')
    before, after = ({entry['topic_metadata']['name']: entry
                      for entry in information(path)['topics_with_message_count']}
                     for path in (tmp_path / 'in', tmp_path / 'out'))
    assert len(before) == 4 and {topic: after[topic] for topic in before} == before
    depth = after['/cam/depth/image_rect']['topic_metadata']['offered_qos_profiles']
    assert [(one['reliability'], one['depth']) for one in depth] == [('reliable', 2)]


@pytest.mark.parametrize('text', ['~', ' ', '- history: ~', '- {history: 1, reliability: 1, '
                                  'durability: 1, liveliness: 1, depth: 2}', '[', '5'])
def test_qos_that_is_none_is_left_out_and_named(tmp_path, bag, process, text):
    source = bag(frames(2), storage=StoragePlugin.SQLITE3)
    database = sqlite3.connect(next(source.glob('*.db3')))
    database.execute("UPDATE topics SET offered_qos_profiles = ? WHERE name = '/cam/words'",
                     (text,))
    database.commit()
    database.close()
    (source / 'metadata.yaml').unlink()
    _, warnings = process(source, tmp_path / 'out')
    assert any('/cam/words is copied without its QoS' in warning for warning in warnings)
    assert len(decoded(tmp_path / 'out')['/cam/words']) == 2


def test_a_definition_that_lacks_a_type_makes_an_opaque_topic(tmp_path, bag, process):
    source = bag(frames(2), storage=StoragePlugin.SQLITE3)
    database = sqlite3.connect(next(source.glob('*.db3')))
    database.execute("UPDATE topics SET type = 'acme/msg/Thing' WHERE name = '/cam/words'")
    database.execute("UPDATE message_definitions SET topic_type = 'acme/msg/Thing', "
                     "encoded_message_definition = 'acme/Missing part' "
                     "WHERE topic_type = 'std_msgs/msg/String'")
    database.commit()
    database.close()
    (source / 'metadata.yaml').unlink()
    process(source, tmp_path / 'out')
    assert raw(tmp_path / 'out', {'/cam/words'}) == raw(source, {'/cam/words'})


@pytest.mark.parametrize('name', ['my depth', '2depth', '/depth', 'a//b', 'a__b', 'tiefe_ä', ''])
def test_a_name_that_no_topic_may_have_is_refused(tmp_path, bag, process, name):
    with pytest.raises(RecordingError, match=f"'{name}' is no name of topics: "):
        process(bag(frames(1)), tmp_path / 'out', name=name)


def test_of_broken_images_nothing_is_kept_but_the_reason(
        tmp_path, bag, network, monkeypatch):
    said = frames(4)
    for one in said[:9:3]:
        one.message.data = np.zeros(300_000, np.uint8)
    source, kept = bag(said, storage=StoragePlugin.SQLITE3), []
    database = sqlite3.connect(next(source.glob('*.db3')))
    database.execute('UPDATE messages SET data = substr(data, 1, 200000) '
                     'WHERE length(data) > 200000')
    database.commit()
    database.close()
    before = Process._copy

    def copied(self, writer, end):
        before(self, writer, end)
        kept.append(sum(type(found) is Record and len(found.data) == 200_000
                        for found in gc.get_objects()))

    monkeypatch.setattr(Process, '_copy', copied)
    accounts, _ = process_bag(str(source), tmp_path / 'out', ProcessOptions(), network,
                              progress=tqdm(disable=True))
    assert accounts['/cam/image_raw'].dropped == {'undecodable': 3}
    assert kept[-1] <= 1


def test_a_type_that_nobody_knows_is_kept_as_bytes(tmp_path, bag, process):
    source = bag(frames(2), storage=StoragePlugin.SQLITE3)
    database = sqlite3.connect(next(source.glob('*.db3')))
    database.execute("UPDATE topics SET type = 'acme/msg/Thing' WHERE name = '/cam/words'")
    database.execute('DELETE FROM message_definitions')
    database.commit()
    database.close()
    (source / 'metadata.yaml').unlink()
    process(source, tmp_path / 'out')
    before, after = open_recording(source), open_recording(tmp_path / 'out')
    assert after.topics['/cam/words'] == 'acme/msg/Thing'
    assert [(record.time, record.data) for record in after.records(['/cam/words'])] == [
        (record.time, record.data) for record in before.records(['/cam/words'])]


def test_each_camera_has_depth_in_its_own_namespace(tmp_path, bag, process):
    said = sorted(frames(3, '/left/image_rect', 'left') + frames(4, '/right/image_raw', 'right', 1)
                  + frames(4, '/right/image_rect', 'right', 2)[::3], key=lambda one: one.time)
    accounts, _ = process(bag(said), tmp_path / 'out')
    assert {topic: account.published for topic, account in accounts.items()} == {
        '/left/image_rect': 3, '/right/image_rect': 4}
    found = decoded(tmp_path / 'out')
    assert len(found['/left/depth/image_rect']) == 3
    assert {message.header.frame_id for _, message in found['/right/depth/image_rect']} == {
        'right'}
    accounts, _ = process(tmp_path / 'in', tmp_path / 'raw', images=('/right/image_raw',))
    assert list(accounts) == ['/right/image_raw']


def test_every_frame_is_counted_by_its_reason(tmp_path, bag, process):
    said = frames(3)
    time = said[-1].time
    cut = jpeg(np.zeros(SHAPE, np.uint8), time + PERIOD)
    cut.message.data = cut.message.data[:len(cut.message.data) // 2]
    short = image(np.zeros(SHAPE, np.uint8), 'bgr8', time + 2 * PERIOD)
    short.message.data = short.message.data[:100]
    thin = image(np.zeros((1, 128, 3), np.uint8), 'bgr8', time + 3 * PERIOD)
    depth = image(np.zeros((96, 128), np.uint16), '16UC1', time + 4 * PERIOD)
    accounts, _ = process(bag([*said, short, thin, depth]), tmp_path / 'out')
    account = accounts['/cam/image_raw']
    assert (account.received, account.published, account.dropped) == (
        6, 3, {'undecodable': 2, 'unsuitable': 1})
    assert 'remap the input to the colour image' in account.explanations['undecodable']
    kept = json.loads(information(tmp_path / 'out')['custom_data']['depth_estimation_ros'])
    assert kept == {'/cam/image_raw': account.as_json()}
    accounts, _ = process(write_rosbag2(tmp_path / 'jpeg', [
        jpeg(np.full(SHAPE, 99, np.uint8), time), cut]), tmp_path / 'out2')
    assert accounts['/cam/image_raw/compressed'].dropped == {'undecodable': 1}


def test_bytes_that_are_no_message_are_counted_in_their_part(tmp_path, bag, process):
    said = frames(6)
    source = bag(said, storage=StoragePlugin.SQLITE3)
    database = sqlite3.connect(next(source.glob('*.db3')))
    database.execute('UPDATE messages SET data = ? WHERE timestamp = ? AND topic_id = 1',
                     (b'\0\1\0\0rubbish', said[6].time))
    database.commit()
    database.close()
    accounts, warnings = process(source, tmp_path / 'out', part=0.05)
    account = accounts['/cam/image_raw']
    assert (account.received, account.published, account.dropped) == (6, 5, {'undecodable': 1})
    assert warnings
    assert raw(tmp_path / 'out', {one.topic for one in said}) == raw(source)


def test_changes_disorder_and_doubles_are_served(tmp_path, bag, process):
    rng = np.random.default_rng(3)
    small, grey = (80, 120, 3), (96, 128)
    looks = [(SHAPE, 'bgr8'), (small, 'rgb8'), (grey, 'mono8'), (SHAPE, 'bgr8'), (SHAPE, 'bgr8')]
    said = [image(rng.integers(0, 256, shape, np.uint8), encoding, START + number * PERIOD)
            for number, (shape, encoding) in enumerate(looks)]
    said[3].message.header.stamp = said[1].message.header.stamp  # out of order and doubled
    accounts, warnings = process(bag(said), tmp_path / 'out', part=0.06)
    assert accounts['/cam/image_raw'].published == 5
    found = decoded(tmp_path / 'out')['/cam/depth/image_rect']
    assert [(message.height, message.width) for _, message in found] == [
        shape[:2] for shape, _ in looks]
    assert [stamp_of(message) for _, message in found] == [
        stamp_of(one.message) for one in said]
    assert any('changes within the recording' in text for text in warnings)
    assert any('earlier stamp' in text for text in warnings)


def test_one_message_at_one_time_twice_is_twice_there(tmp_path, bag, process):
    said = frames(2)
    process(bag([said[0], said[0], *said[1:]]), tmp_path / 'out')
    assert len(decoded(tmp_path / 'out')['/cam/depth/image_rect']) == 3


def test_a_gap_of_hours_makes_no_empty_files(tmp_path, bag, process):
    said = frames(2)
    late = START + 7 * 3600 * 10**9
    process(bag([*said, image(np.zeros(SHAPE, np.uint8), 'bgr8', late), info(late)]),
            tmp_path / 'out', part=10)
    assert len(information(tmp_path / 'out')['files']) == 2


def test_ros1_bags_become_rosbag2(tmp_path, process):
    accounts, _ = process(write_ros1(tmp_path / 'in.bag', frames(3)), tmp_path / 'out')
    assert accounts['/cam/image_raw'].published == 3
    assert len(decoded(tmp_path / 'out')['/cam/words']) == 3


def test_a_taken_topic_is_said(tmp_path, bag, process):
    source = bag(frames(2))
    process(source, tmp_path / 'out')
    with pytest.raises(RecordingError, match=r'/cam/depth/image_rect is there already.*--name'):
        process(tmp_path / 'out', tmp_path / 'again')
    process(tmp_path / 'out', tmp_path / 'again', name='depth2')
    assert len(decoded(tmp_path / 'again')['/cam/depth2/image_rect']) == 2
