# SPDX-License-Identifier: Apache-2.0
"""MCAP files, whole or damaged, of ROS 2 or ROS 1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from . import mcap_layout as layouts
from .errors import RecordingError
from .mcap_layout import Block
from .qos import latched
from .recording import Channel, Record, Recording, in_time_order
from .sources import Sources
from .types import normalised

LATCHING = ('1', 'true', 'True')
"""What converters write of a latched topic of ROS 1."""


class McapFile(Recording):
    """A lone .mcap file, or one of a rosbag2 directory."""

    def __init__(self, path: Path) -> None:
        """Find what the file holds; a file without its index is read through for that."""
        super().__init__(str(path))
        self._path = path
        with path.open('rb') as stream:
            self._layout = layouts.find_layout(stream, path.stat().st_size)
        for damage in self._layout.damage:
            self.warn(f'{path}: {damage}')
        if self._layout.unread:
            self.warn(f'{path}: attachments and metadata are not read, nor kept in a copy: '
                      f'{", ".join(self._layout.unread)}')
        self._sources = Sources()
        for number, found in self._layout.channels.items():
            self._add(number, found)
        for text in self._sources.pass_over_odd():
            self.warn(f'{path}: {text}')
        self.channels = self._sources.channels()
        self.start = min((block.start for block in self._layout.blocks), default=0)

    def _add(self, number: int, found: Any) -> None:
        """Declare one of the file's channels, where its messages can be read."""
        if found.message_encoding not in ('cdr', 'ros1'):
            self.warn(f"{self._path}: {found.topic} is passed over: it is "
                      f"'{found.message_encoding}', and only cdr and ros1 are read")
            return
        schema, counts = self._layout.schemas.get(found.schema_id), self._layout.counts
        self._sources.add(number, found.topic, Channel(
            normalised(schema.name) if schema else '', None if counts is None else counts[number],
            schema.data.decode(errors='replace') if schema else '', self._qos(found)),
            is_ros1=found.message_encoding == 'ros1')

    def _qos(self, found: Any) -> str:
        if found.message_encoding != 'ros1':
            return str(found.metadata.get('offered_qos_profiles', ''))
        return latched(sum(
            other.topic == found.topic and other.metadata.get('latching') in LATCHING
            for other in self._layout.channels.values()))

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        wanted = frozenset(self._sources.numbers_of(topics))
        blocks = [block for block in self._layout.blocks
                  if not block.channels or block.channels & wanted]
        with self._path.open('rb') as stream:
            yield from in_time_order(
                ((block.start, partial(self._open, stream, block, wanted)) for block in blocks),
                lambda record: record.time)

    def _open(self, stream: BinaryIO, block: Block, wanted: frozenset[int]) -> Iterator[Record]:
        """Yield the records of a block, none where it is broken."""
        try:
            messages = self._layout.note(layouts.open_block(stream, block))
        except layouts.DAMAGE as error:
            self.warn(f'{self._path}: the {block.size} bytes at {block.offset} are lost: {error}')
            return
        for message in messages:
            record = self._record(message) if message.channel_id in wanted else None
            if record is not None:
                yield record

    def _record(self, message: Any) -> Record | None:
        source = self._sources.by_number[message.channel_id]
        try:
            return source.record(message.log_time, message.data)
        except RecordingError as error:
            self.warn(f'{self._path}: {source.topic}: {error}')
            return None
