# SPDX-License-Identifier: Apache-2.0
"""What every recording has: topics, records in time order, and what is wrong with it."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import zstandard

from .types import Types

MOST_WARNINGS = 100

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
"""What compressed data begin with, and CDR never does."""


@dataclass(frozen=True)
class Record:
    """One message as it was recorded."""

    topic: str
    type: str
    """package/msg/Name, whatever the recording's own spelling."""
    time: int
    """Nanoseconds, when it was recorded; the capture time is in the message's header."""
    data: bytes
    """CDR, whatever the recording's own serialisation."""
    types: Types = field(repr=False, compare=False)

    @cached_property
    def message(self) -> Any:
        """The message's fields, decoded on first use; raises RecordingError when it is broken."""
        return self.types.decode(self.data, self.type)


@dataclass(frozen=True)
class Channel:
    """A topic as its recorder described it."""

    type: str
    count: int | None = None
    """How many messages should be there; None where nobody counted."""
    definition: str = ''
    """The type's definition in .msg or IDL syntax, where the recording holds it."""
    qos: str = ''
    """The offered QoS profiles as YAML, as rosbag2 writes them."""

    def completed(self, other: Channel) -> Channel:
        """Return the channel with what only another description of it has."""
        return replace(self, definition=self.definition or other.definition,
                       qos=self.qos or other.qos)

    def plus(self, other: Channel) -> Channel:
        """Return the channel together with more messages of its topic."""
        unknown = self.count is None or other.count is None
        return replace(self.completed(other),
                       count=None if unknown else (self.count or 0) + (other.count or 0))


class Recording(ABC):
    """A source of records; nothing is open but while records are read."""

    def __init__(self, name: str, channels: Mapping[str, Channel] | None = None) -> None:
        self.name = name
        self.channels: dict[str, Channel] = dict(channels or {})
        self.start = 0
        """Nanoseconds, the time of the first record."""
        self.warnings: list[str] = []
        """What was found damaged, missing or strange so far; grows while records are read."""

    @property
    def topics(self) -> Mapping[str, str]:
        """The type of each topic."""
        return {topic: channel.type for topic, channel in self.channels.items()}

    def warn(self, text: str) -> None:
        """Note something that the user should know, once."""
        if text not in self.warnings and len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(text)

    def records(self, topics: Collection[str] = ()) -> Iterator[Record]:
        """
        Yield the records of some topics in the order of their times, a few in memory at a time.

        :param topics: all, when empty.
        """
        wanted = frozenset(topics) & self.channels.keys() if topics else frozenset(self.channels)
        seen: Counter[str] = Counter()
        for record in map(self._plain, self._read(wanted)):
            if record is not None:
                seen[record.topic] += 1
                yield record
        for topic in sorted(wanted):
            expected = self.channels[topic].count or 0
            if seen[topic] < expected:
                self.warn(f'{self.name}: {expected - seen[topic]} of {expected} messages of '
                          f'{topic} are lost')

    def _plain(self, record: Record) -> Record | None:
        """Return a record without rosbag2's compression of messages, if it has that."""
        if not record.data.startswith(ZSTD_MAGIC):
            return record
        try:
            data = zstandard.ZstdDecompressor().decompressobj().decompress(record.data)
        except zstandard.ZstdError as error:
            self.warn(f'{self.name}: {record.topic}: a message cannot be unpacked: {error}')
            return None
        return replace(record, data=data)

    @abstractmethod
    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        """Yield the records of the topics in the order of their times."""

    def count(self, topic: str) -> int:
        """Return how many messages a topic has, by reading them where nobody counted."""
        counted = self.channels[topic].count
        return sum(1 for _ in self.records([topic])) if counted is None else counted


Timed = TypeVar('Timed')


def in_time_order(blocks: Iterable[tuple[int, Callable[[], Iterator[Timed]]]],
                  time_of: Callable[[Timed], int]) -> Iterator[Timed]:
    """
    Merge blocks of items; a block is opened when its turn comes and closed when it is through.

    :param blocks: the time of a block's first item, and what yields its items in time order.
    :param time_of: the time of an item.
    """
    heap: list[tuple[int, int, tuple[Timed, ...], Any]] = [
        (start, number, (), opener) for number, (start, opener) in enumerate(blocks)]
    heapq.heapify(heap)
    while heap:
        _, number, item, rest = heap[0]
        items = rest if item else iter(rest())
        yield from item
        following = next(items, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (time_of(following), number, (following,), items))
