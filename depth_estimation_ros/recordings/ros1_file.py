# SPDX-License-Identifier: Apache-2.0
"""ROS 1 bags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.rosbag1 import Reader, ReaderError

from .errors import RecordingError
from .qos import latched
from .recording import Channel, Record, Recording
from .sources import Sources

MAGIC = b'#ROSBAG V'
DAMAGE = (ReaderError, AssertionError, OSError, ValueError, IndexError, KeyError, EOFError,
          RuntimeError)
"""What rosbags raises for a damaged bag."""


def is_ros1(path: Path) -> bool:
    """Say whether a file begins as a ROS 1 bag."""
    with path.open('rb') as stream:
        return stream.read(len(MAGIC)) == MAGIC


class Ros1File(Recording):
    """A .bag file; its messages come out as ROS 2's."""

    def __init__(self, path: Path) -> None:
        """
        Read the bag's index.

        :raises RecordingError: when it has none.
        """
        super().__init__(str(path))
        self._path, self._sources = path, Sources()
        try:
            with Reader(path) as reader:
                self._add(reader)
        except DAMAGE as error:
            raise RecordingError(f'{path} cannot be read ({error}): rosbag reindex {path} '
                                 'rebuilds the index that a killed recorder leaves out') from error
        for text in self._sources.pass_over_odd():
            self.warn(f'{path}: {text}')
        self.channels = self._sources.channels()

    def _add(self, reader: Any) -> None:
        """Declare the bag's connections, of which each publisher has one."""
        for found in reader.connections:
            publishers = sum(bool(other.ext.latching) for other in reader.connections
                             if other.topic == found.topic)
            self._sources.add(found.id, found.topic, Channel(
                found.msgtype, found.msgcount, found.msgdef.data, latched(publishers)),
                is_ros1=True)
        self.start = reader.start_time if reader.connections else 0

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        with Reader(self._path) as reader:
            numbers = self._sources.numbers_of(topics)
            connections = [found for found in reader.connections if found.id in numbers]
            if not connections:
                return
            try:
                for connection, time, data in reader.messages(connections):
                    record = self._record(connection.id, time, bytes(data))
                    if record is not None:
                        yield record
            except DAMAGE as error:
                self.warn(f'{self._path} is damaged ({error}): what follows is lost; '
                          f'rosbag reindex {self._path} may mend it')

    def _record(self, number: int, time: int, data: bytes) -> Record | None:
        source = self._sources.by_number[number]
        try:
            return source.record(time, data)
        except RecordingError as error:
            self.warn(f'{self._path}: {source.topic}: {error}')
            return None
