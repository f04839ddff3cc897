# SPDX-License-Identifier: Apache-2.0
"""Where the messages of an MCAP file lie: by its index, or by a scan where the index is lost."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import SeekingReader, Summary
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import breakup_chunk

MAGIC = b'\x89MCAP0\r\n'
PREFIX = struct.Struct('<BQ')
"""What every record begins with: its opcode and how many bytes follow."""

LOOSE_BYTES = 1 << 20
"""How much of the messages that lie outside of chunks makes a block."""

MOST_BYTES = 1 << 31
"""A chunk that claims more than this, unpacked, is damaged."""

ROSBAG2 = 'rosbag2'
"""The metadata that rosbag2 writes of its own."""

MOST_NAME = 200
"""How many bytes of a name are shown."""

DAMAGE = (McapError, zstandard.ZstdError, struct.error, ValueError, RuntimeError,
          LookupError, OverflowError, MemoryError, EOFError, OSError)
"""What reading damaged bytes raises."""


UNLISTED = ('it has no index of its topics; it is read from end to end for that (mcap recover '
            'writes one)')

UNFINISHED = ('it has no index, as its recorder did not end as it should; it is read from end to '
              'end for that (mcap recover writes one)')


class Block(NamedTuple):
    """A stretch of the file that is read at once: a chunk, or messages outside of chunks."""

    start: int
    offset: int
    size: int
    chunked: bool
    channels: frozenset[int] = frozenset()
    """Whose messages it has; empty where the file does not say."""


@dataclass
class Layout:
    """The topics and blocks of a file."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    counts: Counter[int] | None = field(default_factory=Counter)
    """Messages by channel; None where the file does not say."""
    blocks: list[Block] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """The names of attachments and metadata."""

    def note(self, records: list[Any]) -> list[Message]:
        """Keep the schemas and channels of a block; return its messages, earliest first."""
        self.schemas |= {record.id: record for record in records if isinstance(record, Schema)}
        self.channels |= {record.id: record for record in records if isinstance(record, Channel)}
        return sorted((record for record in records if isinstance(record, Message)),
                      key=lambda message: message.log_time)


def find_layout(stream: BinaryIO, size: int) -> Layout:
    """
    Return what an MCAP file holds and where.

    :param stream: the open file.
    :param size: its bytes.
    """
    try:
        summary = _summary(stream)
    except DAMAGE:
        return _scanned(stream, size, [UNFINISHED])
    if summary is None:
        return _scanned(stream, size, [UNLISTED])
    return _indexed(summary) or _scanned(stream, size, [])


def open_block(stream: BinaryIO, block: Block) -> list[Any]:
    """Return the records of a block; raises one of DAMAGE when it is broken."""
    stream.seek(block.offset)
    data = stream.read(block.size)
    if len(data) < block.size:
        raise EOFError(f'{block.size - len(data)} bytes are missing')
    if not block.chunked:
        return list(breakup_chunk(Chunk('', data, 0, 0, 0, len(data))))
    chunk = Chunk.read(ReadDataStream(BytesIO(data)))
    if chunk.uncompressed_size > MOST_BYTES:
        raise ValueError(f'it claims to hold {chunk.uncompressed_size} bytes')
    return list(breakup_chunk(chunk, validate_crc=True))


def _summary(stream: BinaryIO) -> Summary | None:
    """
    Return what stands at the file's end; None where it does not list all channels.

    It raises one of DAMAGE where the file has no end.
    """
    stream.seek(0)
    summary = SeekingReader(stream, record_size_limit=MOST_BYTES).get_summary()
    if summary is None:
        return None
    channels = summary.statistics.channel_count if summary.statistics else 1
    if len(summary.channels) < channels:
        return None
    if any(channel.schema_id and channel.schema_id not in summary.schemas
           for channel in summary.channels.values()):
        return None
    return summary


def _indexed(summary: Summary) -> Layout | None:
    """Return the layout by the file's own index; None where its messages are not in that."""
    if not summary.chunk_indexes and (summary.statistics is None
                                      or summary.statistics.message_count):
        return None
    blocks = [Block(index.message_start_time, index.chunk_start_offset + PREFIX.size,
                    index.chunk_length - PREFIX.size, True,
                    frozenset(index.message_index_offsets)) for index in summary.chunk_indexes]
    unread = [*(index.name for index in summary.attachment_indexes),
              *(index.name for index in summary.metadata_indexes if index.name != ROSBAG2)]
    return Layout(summary.schemas, summary.channels, _counts(summary), blocks, unread=unread)


def _counts(summary: Summary) -> Counter[int] | None:
    """Return the messages by channel, which statistics may leave out."""
    if summary.statistics is None:
        return None
    counts = Counter(summary.statistics.channel_message_counts)
    return counts if counts.total() == summary.statistics.message_count else None


def _scanned(stream: BinaryIO, size: int, damage: list[str]) -> Layout:
    """Walk through the file's records up to its end, or to where it breaks off."""
    layout = Layout(damage=damage)
    loose: list[Block] = []
    for opcode, block in _records(stream, size, layout):
        if opcode == Opcode.MESSAGE:
            _join(loose, block)
        elif opcode in (Opcode.CHUNK, Opcode.SCHEMA, Opcode.CHANNEL):
            _note(stream, layout, block)
        elif opcode in (Opcode.ATTACHMENT, Opcode.METADATA):
            name = _name(stream, block, 16 if opcode == Opcode.ATTACHMENT else 0)
            layout.unread += [name] if name != ROSBAG2 else []
    for block in loose:
        _note(stream, layout, block)
    return layout


def _records(stream: BinaryIO, size: int, layout: Layout) -> Iterator[tuple[int, Block]]:
    """Yield the data section's records; what is whole ends at the first that is not."""
    offset = len(MAGIC)
    while offset < size:
        stream.seek(offset)
        prefix = stream.read(PREFIX.size)
        opcode, length = PREFIX.unpack(prefix) if len(prefix) == PREFIX.size else (0, size)
        end = offset + PREFIX.size + length
        if opcode in (Opcode.DATA_END, Opcode.FOOTER):
            return
        if opcode == 0 or end > size:
            layout.damage.append(f'it breaks off: its last {size - offset} of {size} bytes hold '
                                 'no whole record and are lost')
            return
        chunked = opcode == Opcode.CHUNK
        yield opcode, (Block(0, offset + PREFIX.size, length, True) if chunked
                       else Block(0, offset, PREFIX.size + length, False))
        offset = end


def _name(stream: BinaryIO, block: Block, offset: int) -> str:
    """Return the name of an attachment or of metadata, which begins at an offset of its bytes."""
    stream.seek(block.offset + PREFIX.size + offset)
    size = int.from_bytes(stream.read(4), 'little')
    return stream.read(min(size, MOST_NAME)).decode(errors='replace')


def _join(loose: list[Block], block: Block) -> None:
    """Add a loose message to the blocks of them, to the last where it follows on that."""
    last = loose[-1] if loose else None
    if last and last.offset + last.size == block.offset and last.size < LOOSE_BYTES:
        loose[-1] = last._replace(size=last.size + block.size)
    else:
        loose.append(block)


def _note(stream: BinaryIO, layout: Layout, block: Block) -> None:
    """Take a block into the layout, or note that it is broken."""
    try:
        messages = layout.note(open_block(stream, block))
    except DAMAGE as error:
        layout.damage.append(f'the {block.size} bytes at {block.offset} are lost: {error}')
        return
    if messages and layout.counts is not None:
        layout.counts.update(message.channel_id for message in messages)
        layout.blocks.append(block._replace(start=messages[0].log_time))
