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
from .types import Types

MAGIC = b'#ROSBAG V'
DAMAGE = (ReaderError, AssertionError, OSError, ValueError, IndexError, KeyError, EOFError,
          RuntimeError)
"""What rosbags raises for a damaged bag."""


class Ros1File(Recording):
    """A .bag file; its messages come out as ROS 2's."""

    def __init__(self, path: Path) -> None:
        """
        Read the bag's index.

        :raises RecordingError: when it has none.
        """
        super().__init__(str(path))
        self._path = path
        try:
            with Reader(path) as reader:
                self._add_channels(reader)
        except DAMAGE as error:
            raise RecordingError(f'{path} cannot be read ({error}): rosbag reindex {path} '
                                 'rebuilds the index that a killed recorder leaves out') from error
        self._converted = self._types.converted()

    def _add_channels(self, reader: Any) -> None:
        self._types = Types({connection.msgtype: connection.msgdef.data
                             for connection in reader.connections})
        for topic, info in reader.topics.items():
            if info.msgtype is None:
                self.warn(f'{self._path}: {topic} is passed over: it has several types')
                continue
            self.channels[topic] = Channel(
                info.msgtype, info.msgcount, self._types.converted_definition(info.msgtype),
                latched(sum(bool(found.ext.latching) for found in info.connections)))
        self.start = reader.start_time if self.channels else 0

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        with Reader(self._path) as reader:
            connections = [found for found in reader.connections if found.topic in topics]
            if not connections:
                return
            try:
                for connection, time, data in reader.messages(connections):
                    record = self._record(connection, time, bytes(data))
                    if record is not None:
                        yield record
            except DAMAGE as error:
                self.warn(f'{self._path} is damaged ({error}): what follows is lost; '
                          f'rosbag reindex {self._path} may mend it')

    def _record(self, connection: Any, time: int, data: bytes) -> Record | None:
        try:
            data = self._types.from_ros1(data, connection.msgtype)
        except RecordingError as error:
            self.warn(f'{self._path}: {connection.topic}: {error}')
            return None
        return Record(connection.topic, connection.msgtype, time, data,
                      self._converted)
