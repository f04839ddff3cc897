# SPDX-License-Identifier: Apache-2.0
"""MCAP files, whole or damaged, of ROS 2 or ROS 1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from . import mcap_layout as layouts
from .errors import RecordingError
from .mcap_layout import Block, Layout
from .qos import latched
from .recording import Channel, Record, Recording, in_time_order
from .types import Types, normalised

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
        self._kinds = {number: self._kind(channel.schema_id)
                       for number, channel in self._layout.channels.items()}
        definitions = {kind: self._definition(number) for number, kind in self._kinds.items()}
        self._types = Types(definitions)
        self._converted = self._types.converted()
        self._add_channels()
        self.start = min((block.start for block in self._layout.blocks), default=0)

    def _kind(self, schema: int) -> str:
        found = self._layout.schemas.get(schema)
        return normalised(found.name) if found else ''

    def _definition(self, number: int) -> str:
        schema = self._layout.schemas.get(self._layout.channels[number].schema_id)
        return schema.data.decode(errors='replace') if schema else ''

    def _add_channels(self) -> None:
        counts = self._layout.counts
        for number, found in self._layout.channels.items():
            if found.message_encoding not in ('cdr', 'ros1'):
                self.warn(f"{self._path}: {found.topic} is passed over: it is "
                          f"'{found.message_encoding}', and only cdr and ros1 are read")
                continue
            known = self.channels.get(found.topic)
            before = known.count or 0 if known else 0
            here = None if counts is None else counts[number] + before
            definition, qos = self._described(number)
            self.channels[found.topic] = Channel(self._kinds[number], here, definition, qos)

    def _described(self, number: int) -> tuple[str, str]:
        """Return the definition of a channel's messages as they come out, and its QoS."""
        found = self._layout.channels[number]
        if found.message_encoding != 'ros1':
            return self._definition(number), found.metadata.get('offered_qos_profiles', '')
        publishers = sum(other.topic == found.topic and other.metadata.get('latching') in LATCHING
                         for other in self._layout.channels.values())
        return self._types.converted_definition(self._kinds[number]), latched(publishers)

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        wanted = {number for number, channel in self._layout.channels.items()
                  if channel.topic in topics}
        blocks = [block for block in self._layout.blocks
                  if not block.channels or block.channels & wanted]
        with self._path.open('rb') as stream:
            yield from in_time_order(
                ((block.start, partial(self._open, stream, block, topics)) for block in blocks),
                lambda record: record.time)

    def _open(self, stream: BinaryIO, block: Block, topics: frozenset[str]) -> Iterator[Record]:
        """Yield the records of a block, none where it is broken."""
        try:
            messages = self._layout.note(layouts.open_block(stream, block))
        except layouts.DAMAGE as error:
            self.warn(f'{self._path}: the {block.size} bytes at {block.offset} are lost: {error}')
            return
        for message in messages:
            record = self._record(message, self._layout, topics)
            if record is not None:
                yield record

    def _record(self, message: Any, layout: Layout, topics: frozenset[str]) -> Record | None:
        channel = layout.channels.get(message.channel_id)
        if channel is None or channel.topic not in topics:
            return None
        kind = self._kinds[message.channel_id]
        if channel.message_encoding != 'ros1':
            return Record(channel.topic, kind, message.log_time, message.data, self._types)
        try:
            data = self._types.from_ros1(message.data, kind)
        except RecordingError as error:
            self.warn(f'{self._path}: {channel.topic}: {error}')
            return None
        return Record(channel.topic, kind, message.log_time, data, self._converted)
