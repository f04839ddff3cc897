# SPDX-License-Identifier: Apache-2.0
"""A camera's messages, and bags of every kind that hold them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.stream_reader import breakup_chunk
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_JAZZY)
ROS1_TYPES = get_typestore(Stores.ROS1_NOETIC)
IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
START, PERIOD = 1_700_000_000 * 10**9, 10**9 // 30


class Said(NamedTuple):
    """A message on a topic."""

    topic: str
    type: str
    time: int
    message: Any

    @property
    def data(self) -> bytes:
        return bytes(TYPES.serialize_cdr(self.message, self.type))


def header(time: int, frame: str = 'optical') -> Any:
    stamp = TYPES.types['builtin_interfaces/msg/Time'](*divmod(time, 10**9))
    return TYPES.types['std_msgs/msg/Header'](stamp, frame)


def image(pixels: np.ndarray, encoding: str, time: int, frame: str = 'optical',
          topic: str = '/cam/image_raw') -> Said:
    message = TYPES.types[IMAGE](header(time, frame), *pixels.shape[:2], encoding, 0,
                                 pixels.strides[0], np.frombuffer(pixels.tobytes(), np.uint8))
    return Said(topic, IMAGE, time, message)


def compressed(data: bytes, name: str, time: int, frame: str = 'optical',
               topic: str = '/cam/image_raw/compressed') -> Said:
    message = TYPES.types[COMPRESSED](header(time, frame), name, np.frombuffer(data, np.uint8))
    return Said(topic, COMPRESSED, time, message)


def jpeg(pixels: np.ndarray, time: int, **options: Any) -> Said:
    return compressed(cv2.imencode('.jpg', pixels)[1].tobytes(), 'bgr8; jpeg compressed bgr8',
                      time, **options)


def info(time: int, frame: str = 'optical', topic: str = '/cam/camera_info',
         fx: float = 500.0) -> Said:
    k = np.array([fx, 0, 79.5, 0, fx, 59.5, 0, 0, 1.0])
    roi = TYPES.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    message = TYPES.types[INFO](header(time, frame), 48, 64, 'plumb_bob', np.zeros(5), k,
                                np.eye(3).ravel(), np.zeros(12), 0, 0, roi)
    return Said(topic, INFO, time, message)


def drive(count: int = 12) -> list[Said]:
    """A camera's images, calibration and depth, and a topic that is nothing to a camera."""
    rng = np.random.default_rng(7)
    said = []
    for number in range(count):
        time = START + number * PERIOD
        said += [image(rng.integers(0, 256, (48, 64, 3), np.uint8), 'bgr8', time), info(time),
                 image(rng.integers(300, 5000, (48, 64), np.uint16), '16UC1', time + 5_000_000,
                       topic='/cam/aligned_depth/image_raw'),
                 Said('/chatter', 'std_msgs/msg/String', time + 6_000_000,
                      TYPES.types['std_msgs/msg/String'](f'hello {number}'))]
    return said


def write_rosbag2(path: Path, said: Iterable[Said], storage: StoragePlugin = StoragePlugin.MCAP,
                  mode: CompressionMode = CompressionMode.NONE) -> Path:
    writer = Writer(path, version=9, storage_plugin=storage)
    if mode is not CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        topics: dict[str, Any] = {}
        for topic, kind, time, message in said:
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(topics[topic], time, TYPES.serialize_cdr(message, kind))
    return path


@contextmanager
def leave_log(folder: Path) -> Iterator[None]:
    """Keep the write-ahead log that a recorder leaves beside its .db3 file when it is killed."""
    database = sqlite3.connect(next(folder.glob('*.db3')))
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('UPDATE messages SET timestamp = timestamp + 0')
    database.commit()
    try:
        yield
    finally:
        database.close()


def write_mcap(path: Path, said: Iterable[Said], chunk_size: int = 20_000, **options: Any) -> Path:
    """Write with the reference library rather than rosbags."""
    options = {'compression': CompressionType.ZSTD, **options}
    with path.open('wb') as file:
        writer = McapWriter(file, chunk_size=chunk_size, **options)
        writer.start(profile='ros2')
        channels: dict[str, int] = {}
        for one in said:
            if one.topic not in channels:
                text, _ = TYPES.generate_msgdef(one.type)
                schema = writer.register_schema(one.type, 'ros2msg', text.encode())
                channels[one.topic] = writer.register_channel(one.topic, 'cdr', schema)
            writer.add_message(channels[one.topic], one.time, one.data, one.time)
        writer.finish()
    return path


def write_ros1(path: Path, said: Iterable[Said]) -> Path:
    with Ros1Writer(path) as writer:
        topics: dict[str, Any] = {}
        for topic, kind, time, message in said:
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=ROS1_TYPES)
            data = TYPES.cdr_to_ros1(TYPES.serialize_cdr(message, kind), kind)
            writer.write(topics[topic], time, data)
    return path


def write_kind(kind: str, folder: Path, said: list[Said]) -> Path:
    """Write a recording of one of :data:`KINDS`; return the path that a user would give."""
    return KINDS[kind](folder / 'drive', said)


def _lone(path: Path, said: list[Said], storage: StoragePlugin, name: str) -> Path:
    file = next(write_rosbag2(path, said, storage).glob('drive.*'))
    return file.rename(path.parent / name)


def _without_metadata(path: Path, said: list[Said]) -> Path:
    (write_rosbag2(path, said) / 'metadata.yaml').unlink()
    return path


def _edited(path: Path, said: list[Said], old: str, new: str) -> Path:
    metadata = write_rosbag2(path, said) / 'metadata.yaml'
    text = metadata.read_text()
    assert old in text
    metadata.write_text(text.replace(old, new))
    return path


def _split(path: Path, said: list[Said]) -> Path:
    """Two files, the later one by name the earlier by time."""
    path.mkdir()
    half = len(said) // 2
    write_mcap(path / 'drive_0.mcap', said[half:])
    write_mcap(path / 'drive_1.mcap', said[:half])
    return path


def _packed(path: Path, said: list[Said]) -> Path:
    """A lone compressed file."""
    plain = write_mcap(path.with_suffix('.mcap'), said)
    packed = path.with_suffix('.mcap.zstd')
    packed.write_bytes(zstandard.compress(plain.read_bytes()))
    plain.unlink()
    return packed


def _old_sqlite(path: Path, said: list[Said]) -> Path:
    """A lone .db3 of the first schema: no QoS, no definitions, no index."""
    file = path.with_suffix('.db3')
    database = sqlite3.connect(file)
    database.executescript(
        'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT,'
        ' serialization_format TEXT);'
        'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER,'
        ' data BLOB);')
    topics = list(dict.fromkeys((one.topic, one.type) for one in said))
    numbers = {topic: number for number, (topic, _) in enumerate(topics)}
    database.executemany('INSERT INTO topics VALUES(?, ?, ?, "cdr")',
                         [(numbers[topic], topic, kind) for topic, kind in topics])
    database.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                         [(numbers[one.topic], one.time, one.data) for one in reversed(said)])
    database.commit()
    database.close()
    return file


MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
KINDS = {
    'mcap directory': write_rosbag2,
    'mcap directory, chunks compressed':
        lambda path, said: write_rosbag2(path, said, MCAP, CompressionMode.STORAGE),
    'mcap directory, file compressed':
        lambda path, said: write_rosbag2(path, said, MCAP, CompressionMode.FILE),
    'mcap directory, messages compressed':
        lambda path, said: write_rosbag2(path, said, MCAP, CompressionMode.MESSAGE),
    'sqlite3 directory': lambda path, said: write_rosbag2(path, said, SQLITE),
    'sqlite3 directory, file compressed':
        lambda path, said: write_rosbag2(path, said, SQLITE, CompressionMode.FILE),
    'sqlite3 directory, messages compressed':
        lambda path, said: write_rosbag2(path, said, SQLITE, CompressionMode.MESSAGE),
    'lone .mcap': lambda path, said: _lone(path, said, MCAP, 'lone.mcap'),
    'lone .db3': lambda path, said: _lone(path, said, SQLITE, 'lone.db3'),
    'old .db3 without index': _old_sqlite,
    '.mcap called .db3': lambda path, said: _lone(path, said, MCAP, 'lone.db3'),
    'lone .mcap.zstd': _packed,
    '.mcap, lz4': lambda path, said: write_mcap(
        path.with_suffix('.mcap'), said, compression=CompressionType.LZ4),
    '.mcap without chunks': lambda path, said: write_mcap(
        path.with_suffix('.mcap'), said, use_chunking=False),
    '.mcap without index': lambda path, said: write_mcap(
        path.with_suffix('.mcap'), said, index_types=IndexType.NONE, repeat_channels=False,
        repeat_schemas=False, use_statistics=False, use_summary_offsets=False),
    'no metadata.yaml': _without_metadata,
    'empty storage_identifier': lambda path, said: _edited(
        path, said, 'storage_identifier: mcap', "storage_identifier: ''"),
    'metadata of a renamed file': lambda path, said: _edited(
        path, said, 'drive.mcap', 'before.mcap'),
    'broken metadata.yaml': lambda path, said: _edited(path, said, 'version: 9', 'version: [9'),
    'split out of order': _split,
    'ROS 1 .bag': lambda path, said: write_ros1(path.with_suffix('.bag'), said),
}


def chunks_of(path: Path) -> Iterator[tuple[int, int, int]]:
    """Yield where each chunk of an MCAP file begins, ends, and how many messages it has."""
    with path.open('rb') as stream:
        summary = make_reader(stream).get_summary()
        for index in summary.chunk_indexes:
            end = index.chunk_start_offset + index.chunk_length
            stream.seek(index.chunk_start_offset + 9)
            records = breakup_chunk(Chunk.read(ReadDataStream(stream)))
            yield (index.chunk_start_offset, end,
                   sum(type(record).__name__ == 'Message' for record in records))
