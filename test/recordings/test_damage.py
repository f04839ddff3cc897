# SPDX-License-Identifier: Apache-2.0
"""Damaged recordings: what can be read is read, and the rest is named with what to do."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
import zstandard
from mcap.writer import IndexType
from rosbags.rosbag2 import CompressionMode

from depth_estimation_ros.recordings import (
    RecordingError,
    find_cameras,
    open_recording,
    shots,
)

from .bags import (
    MCAP,
    SQLITE,
    chunks_of,
    drive,
    image,
    info,
    write_kind,
    write_mcap,
    write_ros1,
    write_rosbag2,
)

SAID = drive()
ORIGINALS = Counter((one.topic, one.time, one.data) for one in SAID)


def read(path: Path) -> tuple[Counter, str]:
    """Return what can be read of a recording, and its warnings."""
    recording = open_recording(path)
    found = Counter((record.topic, record.time, record.data) for record in recording.records())
    return found, '\n'.join(recording.warnings)


@pytest.mark.parametrize('share', [0.2, 0.5, 0.8, 0.999])
def test_a_truncated_mcap_yields_its_whole_chunks_and_says_what_is_lost(tmp_path, share):
    path = write_mcap(tmp_path / 'drive.mcap', SAID)
    data, chunks = path.read_bytes(), list(chunks_of(path))
    assert len(chunks) > 5
    size = int(chunks[-1][1] * share)
    path.write_bytes(data[:size])
    whole = [chunk for chunk in chunks if chunk[1] <= size]
    found, said = read(path)
    assert found.total() == sum(count for *_, count in whole)
    assert found <= ORIGINALS
    assert 'no index' in said and f'of {size} bytes' in said


def test_a_truncated_mcap_with_metadata_says_how_many_messages_are_lost(tmp_path):
    folder = write_rosbag2(tmp_path / 'drive', drive(120), MCAP)
    path = folder / 'drive.mcap'
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 2 // 3])
    recording = open_recording(folder)
    found = Counter(record.topic for record in recording.records())
    assert 0 < found['/cam/image_raw'] < 120
    assert (f'{120 - found["/cam/image_raw"]} of 120 messages of /cam/image_raw are lost'
            in '\n'.join(recording.warnings))


@pytest.mark.parametrize('indexed', [True, False])
def test_a_damaged_chunk_is_left_out_and_the_others_are_read(tmp_path, indexed):
    path = write_mcap(tmp_path / 'drive.mcap', SAID)
    data, chunks = bytearray(path.read_bytes()), list(chunks_of(path))
    start, end, lost = chunks[3]
    data[(start + end) // 2] ^= 0xff
    if not indexed:
        data = data[:chunks[-1][1]]
    path.write_bytes(data)
    found, said = read(path)
    assert found.total() == len(SAID) - lost and found <= ORIGINALS
    assert f'at {start + 9} are lost' in said


def test_a_file_of_zeros_after_a_crash_is_read_up_to_there(tmp_path):
    path = write_mcap(tmp_path / 'drive.mcap', SAID)
    data, chunks = path.read_bytes(), list(chunks_of(path))
    end = chunks[4][1]
    path.write_bytes(data[:end] + bytes(len(data) - end))
    found, said = read(path)
    assert found.total() == sum(count for *_, count in chunks[:5])
    assert f'its last {len(data) - end} of {len(data)} bytes' in said


@pytest.mark.parametrize('share', [0.3, 0.7, 0.95])
def test_a_truncated_db3_yields_its_first_messages(tmp_path, share):
    path = write_kind('lone .db3', tmp_path, SAID)
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * share)])
    found, said = read(path)
    assert len(SAID) * (share - 0.2) < found.total() < len(SAID)
    assert found <= ORIGINALS
    assert '.recover' in said


def test_a_damaged_page_of_a_db3_costs_its_messages_only(tmp_path):
    path = write_kind('lone .db3', tmp_path, SAID)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    place = data.find(SAID[20].data[:400]) // 4096 * 4096
    data[place:place + 8] = rng.bytes(8)
    path.write_bytes(data)
    found, said = read(path)
    assert len(SAID) - 12 <= found.total() < len(SAID) and found <= ORIGINALS
    assert 'lost' in said


def test_what_a_killed_recorder_left_in_the_write_ahead_log_is_read(tmp_path):
    source = write_kind('lone .db3', tmp_path, SAID)
    path = tmp_path / 'killed.db3'
    database = sqlite3.connect(source)
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('INSERT INTO messages(topic_id, timestamp, data) SELECT topic_id,'
                     ' timestamp + 60000000000, data FROM messages')
    database.commit()
    for suffix in ('', '-wal'):
        Path(f'{path}{suffix}').write_bytes(Path(f'{source}{suffix}').read_bytes())
    database.close()
    found, _ = read(path)
    assert found.total() == 2 * len(SAID)


def test_a_ros1_bag_without_index_names_the_command(tmp_path):
    path = write_ros1(tmp_path / 'drive.bag', SAID)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(RecordingError, match=f'rosbag reindex {path}'):
        open_recording(path)


def test_a_split_that_is_missing_or_empty_is_named(tmp_path):
    folder = write_kind('split out of order', tmp_path, SAID)
    (folder / 'drive_1.mcap').write_bytes(b'')
    (folder / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information: {relative_file_paths: [drive_0.mcap, drive_1.mcap],'
        ' message_count: 0, topics_with_message_count: []}')
    found, said = read(folder)
    assert found.total() == len(SAID) // 2
    assert 'drive_1.mcap' in said


@pytest.mark.parametrize('storage', [MCAP, SQLITE])
def test_a_split_that_the_metadata_do_not_list_is_read_and_named(tmp_path, storage):
    folder = write_rosbag2(tmp_path / 'drive', SAID[:24], storage)
    first = next(folder.glob('drive.*'))
    later = next(write_rosbag2(tmp_path / 'later', SAID[24:], storage).glob('later.*'))
    first, later = (file.rename(folder / f'drive_{number}{file.suffix}')
                    for number, file in enumerate((first, later)))
    metadata = folder / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace(f'drive{first.suffix}', first.name))
    copy = Path(shutil.copy(first, folder / f'drive_recovered{first.suffix}'))
    packed = folder / f'{later.name}.zstd'
    packed.write_bytes(zstandard.compress(later.read_bytes()))  # another kind, of a player's
    found, said = read(folder)
    assert found == ORIGINALS
    assert f'its metadata.yaml does not list {later.name}, read' in said
    assert f'its metadata.yaml does not list {copy.name}, left out' in said
    assert open_recording(folder).count('/cam/image_raw') == 12


def test_a_truncated_compressed_file_yields_what_can_be_unpacked(tmp_path):
    folder = write_rosbag2(tmp_path / 'drive', drive(120), MCAP, CompressionMode.FILE)
    file = next(folder.glob('*.zstd'))
    file.write_bytes(file.read_bytes()[:file.stat().st_size * 2 // 3])
    found, said = read(folder)
    assert 0 < found.total() < 480
    assert 'are lost' in said


@pytest.mark.parametrize('mode', [CompressionMode.NONE, CompressionMode.FILE])
def test_metadata_that_lack_a_topic_are_not_believed(tmp_path, mode):
    folder = write_rosbag2(tmp_path / 'drive', SAID, MCAP, mode)
    metadata = yaml.safe_load((folder / 'metadata.yaml').read_text())
    del metadata['rosbag2_bagfile_information']['topics_with_message_count'][1]
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(metadata))
    found, said = read(folder)
    assert found == ORIGINALS
    assert 'its topics have 36 messages of 48' in said


EMPTY = {
    'an empty file': ('drive.mcap', b'', 'is empty'),
    'the first bytes of an .mcap': ('drive.mcap', b'\x89MCAP0\r\n\x01\x08\0', ''),
    'an empty .db3': ('drive.db3', b'', 'is empty'),
    'text called .mcap': ('drive.mcap', b'hello, this is text', 'does not begin as a .mcap'),
    'text': ('drive.txt', b'hello, this is text', 'is not a rosbag2 directory'),
    'a database of something else': ('other.db3', None, 'is damaged'),
}


@pytest.mark.parametrize('case', EMPTY)
def test_what_is_no_recording_is_named_in_one_line(tmp_path, case):
    name, data, named = EMPTY[case]
    path = tmp_path / name
    if data is None:
        with sqlite3.connect(path) as database:
            database.execute('CREATE TABLE people(name TEXT)')
        database.close()
    else:
        path.write_bytes(data)
    with pytest.raises(RecordingError) as raised:
        find_cameras(open_recording(path))
    text = str(raised.value)
    assert named in text and str(path) in text and '\n' not in text


def test_a_directory_of_recordings_names_them(tmp_path):
    write_rosbag2(tmp_path / 'monday', SAID)
    with pytest.raises(RecordingError, match=r'name one of .*monday'):
        open_recording(tmp_path)


def test_a_directory_whose_only_file_is_empty_says_so(tmp_path):
    (tmp_path / 'drive_0.mcap').write_bytes(b'')
    with pytest.raises(RecordingError, match=r'drive_0.mcap is empty'):
        open_recording(tmp_path)


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r'nothing.mcap does not exist'):
        open_recording(tmp_path / 'nothing.mcap')


def test_an_empty_bag_says_that_it_has_no_topic(tmp_path):
    recording = open_recording(write_mcap(tmp_path / 'empty.mcap', []))
    with pytest.raises(RecordingError, match='it has no topic at all'):
        find_cameras(recording)


def test_a_file_of_which_nothing_is_left_says_why(tmp_path):
    path = write_mcap(tmp_path / 'drive.mcap', SAID)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RecordingError, match=r'no topic at all.*breaks off: its last 19\d\d of'):
        find_cameras(open_recording(path))


def test_a_bag_without_images_lists_its_topics(tmp_path):
    said = [one for one in SAID if 'image' not in one.topic]
    recording = open_recording(write_rosbag2(tmp_path / 'drive', said))
    with pytest.raises(RecordingError, match=r'no colour image topic.*/chatter \(std_msgs'):
        find_cameras(recording)


def test_broken_messages_are_passed_over_and_counted(tmp_path):
    path = tmp_path / 'drive.mcap'
    said = [one for one in SAID if one.topic == '/cam/image_raw']
    short = said[4]._replace(message=said[4].message)

    data = property(lambda self: b'\0\1\0\0' + b'\xff' * 40)
    said[4] = type('Short', (type(short),), {'data': data})(*short)
    recording = open_recording(write_mcap(path, said))
    assert len(list(shots(recording, find_cameras(recording)[0]))) == 11
    assert '1 messages cannot be decoded' in '\n'.join(recording.warnings)


@pytest.mark.parametrize('kind', ['mcap', 'mcap without index', 'mcap without chunks', 'db3',
                                  'bag'])
def test_mutated_files_raise_the_one_error_or_yield_messages(tmp_path, kind):
    options = {'mcap without index': {'index_types': IndexType.NONE},
               'mcap without chunks': {'use_chunking': False}}.get(kind, {})
    said = [one for number in range(6) for one in (
        image(np.full((8, 8, 3), number, np.uint8), 'bgr8', 10**9 * number), info(10**9 * number))]
    if kind == 'db3':
        path = write_kind('lone .db3', tmp_path, said)
    elif kind == 'bag':
        path = write_ros1(tmp_path / 'drive.bag', said)
    else:
        path = write_mcap(tmp_path / 'drive.mcap', said, 1000, **options)
    data, rng = path.read_bytes(), np.random.default_rng(11)
    outcomes: Counter[str] = Counter()
    for _ in range(60):
        path.write_bytes(_mutated(data, rng))
        try:
            recording = open_recording(path)
            made = list(shots(recording, find_cameras(recording)[0]))
        except RecordingError as error:
            assert str(path) in str(error)
            outcomes['error'] += 1
        else:
            assert len(made) <= 6
            outcomes['read'] += 1
    assert outcomes['read'] > 10


def _mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Delete, repeat or overwrite some bytes somewhere after the magic."""
    place, size = int(rng.integers(20, len(data))), int(rng.integers(1, 200))
    what = rng.integers(3)
    if what == 0:
        return data[:place] + data[place + size:]
    if what == 1:
        return data[:place] + data[place:place + size] + data[place:]
    return data[:place] + rng.bytes(size) + data[place + size:]
