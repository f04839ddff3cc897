# SPDX-License-Identifier: Apache-2.0
"""What is written appears whole or not at all, and other libraries read it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from depth_estimation_ros.recordings import RecordingError, Writer, open_recording
from depth_estimation_ros.whole_file import write_whole

from .bags import drive

SAID = drive()
FOREVER = QosTime(9223372036, 854775807)
QOS = Qos(QosHistory.KEEP_LAST, 2, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, FOREVER,
          FOREVER, QosLiveliness.AUTOMATIC, FOREVER, False)


def write(path: Path, **options: bool) -> Path:
    with Writer(path, **options) as writer:
        for one in SAID:
            if one.topic not in writer:
                writer.add_topic(one.topic, one.type, qos=[QOS])
            writer.write(one.topic, one.time, one.data)
    return path


@pytest.mark.parametrize('compress', [True, False])
def test_another_library_reads_the_same_messages(tmp_path, compress):
    file = next(write(tmp_path / 'drive', compress=compress).glob('*.mcap'))
    assert file.name == 'drive.mcap'
    with file.open('rb') as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        found = [(channel.topic, message.log_time, message.data, decoded)
                 for _, channel, message, decoded in reader.iter_decoded_messages()]
    assert [one[:3] for one in found] == [(one.topic, one.time, one.data) for one in
                                          sorted(SAID, key=lambda one: one.time)]
    infos = [decoded for topic, _, _, decoded in found if topic == '/cam/camera_info']
    assert [list(decoded.k) for decoded in infos] == [
        list(one.message.k) for one in SAID if one.topic == '/cam/camera_info']


def test_rosbags_reads_it_as_a_directory(tmp_path):
    with AnyReader([write(tmp_path / 'drive')]) as reader:
        assert sum(1 for _ in reader.messages()) == reader.message_count == len(SAID)


def test_the_offered_profiles_are_written_and_read_as_rosbag2_does(tmp_path):
    path = write(tmp_path / 'drive')
    written = yaml.safe_load((path / 'metadata.yaml').read_text())
    for topic in written['rosbag2_bagfile_information']['topics_with_message_count']:
        profile, = topic['topic_metadata']['offered_qos_profiles']
        assert profile == {
            'history': 'keep_last', 'depth': 2, 'reliability': 'reliable',
            'durability': 'transient_local', 'deadline': FOREVER._asdict(),
            'lifespan': FOREVER._asdict(), 'liveliness': 'automatic',
            'liveliness_lease_duration': FOREVER._asdict(),
            'avoid_ros_namespace_conventions': False}
    for source in (path, next(path.glob('*.mcap'))):
        channels = open_recording(source).channels
        with Writer(tmp_path / f'copy of {source.name}') as writer:
            for topic, channel in channels.items():
                writer.add_topic(topic, channel.type, qos=channel.qos)
        with AnyReader([tmp_path / f'copy of {source.name}']) as reader:
            assert [found.ext.offered_qos_profiles for found in reader.connections] == [[QOS]] * 4


def test_a_type_of_ones_own_is_written_by_its_definition(tmp_path):
    with Writer(tmp_path / 'drive') as writer:
        writer.add_topic('/pair', 'my_msgs/msg/Pair', definition='int32 left\nint32 right')
        writer.write('/pair', 5, b'\0\1\0\0\3\0\0\0\4\0\0\0')
        with pytest.raises(RecordingError, match=r'/odd is of type my_msgs/msg/Odd, which is unk'):
            writer.add_topic('/odd', 'my_msgs/msg/Odd')
    with next((tmp_path / 'drive').glob('*.mcap')).open('rb') as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        decoded, = (found[3] for found in reader.iter_decoded_messages())
    assert (decoded.left, decoded.right) == (3, 4)


def test_two_writers_of_one_file_do_not_meet(tmp_path, monkeypatch):
    replace = Path.replace

    def meanwhile(path, target):
        monkeypatch.setattr(Path, 'replace', replace)
        write_whole(tmp_path / 'file', 'second')
        return replace(path, target)

    monkeypatch.setattr(Path, 'replace', meanwhile)
    write_whole(tmp_path / 'file', 'first')
    assert [path.name for path in tmp_path.iterdir()] == ['file']
    assert (tmp_path / 'file').read_text() == 'first'


def test_nothing_is_there_before_it_is_whole(tmp_path):
    writer = Writer(tmp_path / 'drive')
    writer.add_topic(SAID[0].topic, SAID[0].type)
    writer.write(SAID[0].topic, SAID[0].time, SAID[0].data)
    assert not (tmp_path / 'drive').exists()
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ['drive']


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), Writer(tmp_path / 'drive') as writer:
        writer.add_topic(SAID[0].topic, SAID[0].type)
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_what_exists_is_not_overwritten(tmp_path):
    write(tmp_path / 'drive')
    before = (tmp_path / 'drive' / 'drive.mcap').read_bytes()
    with pytest.raises(RecordingError, match='exists: remove it, or name another'):
        Writer(tmp_path / 'drive')
    assert (tmp_path / 'drive' / 'drive.mcap').read_bytes() == before


@pytest.mark.parametrize('parent', ['missing', 'file'])
def test_a_place_that_cannot_be_written_is_named(tmp_path, parent):
    (tmp_path / 'file').write_text('not a directory')
    with pytest.raises(RecordingError, match=r'drive cannot be written'):
        Writer(tmp_path / parent / 'drive')


FULL = """
import signal, sys
from pathlib import Path
from depth_estimation_ros.recordings import RecordingError, Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with Writer(Path(sys.argv[1]), compress=False) as writer:
        writer.add_topic('/blob', 'sensor_msgs/msg/Image')
        for number in range(40):
            writer.write('/blob', number, bytes(500_000))
except RecordingError as error:
    sys.exit(f'said: {error}')
"""


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', FULL, str(tmp_path / 'drive')], capture_output=True, text=True,
        timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000)))
    assert done.returncode == 1
    assert done.stderr.strip().startswith('said: ') and 'cannot be written' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.iterdir())
