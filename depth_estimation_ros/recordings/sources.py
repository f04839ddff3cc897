# SPDX-License-Identifier: Apache-2.0
"""The channels of one file by their numbers, and which of them are read: a topic has one type."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from .recording import Channel, Record
from .types import Types, fields_of

Key = TypeVar('Key')


@dataclass(frozen=True)
class Source:
    """One channel of a file; several may carry one topic."""

    topic: str
    channel: Channel
    """As its messages come out."""
    types: Types
    """By the channel's own definition, which another channel of the same type may not share."""
    is_ros1: bool = False

    def record(self, time: int, data: bytes) -> Record:
        """
        Return a message.

        :param time: nanoseconds.
        :param data: as it lies in the file.
        :raises RecordingError: when a message of ROS 1 cannot be converted.
        """
        kind, types = self.channel.type, self.types
        if self.is_ros1:
            data, types = types.from_ros1(data, kind), types.converted
        return Record(self.topic, kind, time, data, types)


class Sources:
    """What a file declares."""

    def __init__(self) -> None:
        """Begin without any."""
        self.by_number: dict[int, Source] = {}
        self._types: dict[tuple[str, str], Types] = {}

    def add(self, number: int, topic: str, channel: Channel, *, is_ros1: bool = False) -> None:
        """
        Declare a channel.

        :param channel: with its definition as it lies in the file.
        """
        key = channel.type, channel.definition
        types = self._types.setdefault(key, Types({channel.type: channel.definition}))
        if is_ros1:
            channel = replace(channel, definition=types.converted_definition(channel.type))
        self.by_number[number] = Source(topic, channel, types, is_ros1)

    def pass_over_odd(self) -> list[str]:
        """Drop the channels that are unlike most of their topic; return what to warn of."""
        odd = odd_ones({number: (source.topic, source.channel)
                        for number, source in self.by_number.items()})
        for number in odd:
            del self.by_number[number]
        return list(odd.values())

    def channels(self) -> dict[str, Channel]:
        """Return the topics."""
        found: dict[str, Channel] = {}
        for source in self.by_number.values():
            known = found.get(source.topic)
            found[source.topic] = known.plus(source.channel) if known else source.channel
        return found

    def numbers_of(self, topics: Collection[str]) -> list[int]:
        """Return the numbers of what carries any of some topics."""
        return [number for number, source in self.by_number.items() if source.topic in topics]


def odd_ones(declared: Mapping[Key, tuple[str, Channel]]) -> dict[Key, str]:
    """
    Return what declares a topic unlike most of its messages are, with a text for the user.

    :param declared: topic and channel, by whatever tells the declarations apart.
    """
    by_topic: dict[str, dict[Key, Channel]] = defaultdict(dict)
    for number, (topic, channel) in declared.items():
        by_topic[topic][number] = channel
    return {number: text for topic, channels in by_topic.items()
            for number, text in _odd(topic, channels)}


def _odd(topic: str, channels: dict[Key, Channel]) -> Iterator[tuple[Key, str]]:
    if len({(channel.type, channel.definition) for channel in channels.values()}) < 2 or any(
            channel.count is None for channel in channels.values()):  # who knows which are most
        return
    fields = _fields(channels)
    counts: Counter[tuple[str, str]] = Counter()
    for number, channel in channels.items():
        counts[fields[number]] += channel.count or 0
    most = max(counts, key=lambda each: counts[each])
    for number, channel in channels.items():
        if fields[number] != most:
            named = 'another definition' if channel.type == most[0] else f'type {channel.type}'
            count = f' ({channel.count} messages)' if channel.count else ''
            yield number, (f'{topic} has several types or definitions: what is of {named}{count} '
                           f'is passed over, what is of {most[0]} is read')


def _fields(channels: dict[Key, Channel]) -> dict[Key, tuple[str, str]]:
    """Return the type and fields of each channel; one without definition is like its type's."""
    defined = {number: fields_of(channel.type, channel.definition)
               for number, channel in channels.items() if channel.definition.strip()}
    of_type = {channels[number].type: text for number, text in reversed(defined.items())}
    return {number: (channel.type, defined.get(number, of_type.get(channel.type, '')))
            for number, channel in channels.items()}
