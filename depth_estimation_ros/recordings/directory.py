# SPDX-License-Identifier: Apache-2.0
"""rosbag2 directories: one or many storage files, with or without their metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from .errors import RecordingError
from .metadata import Metadata, read_metadata
from .packed_file import SUFFIXES, PackedFile, is_packed
from .recording import Channel, Record, Recording, in_time_order
from .ros1_file import is_ros1
from .sources import odd_ones

NUMBERED = re.compile(r'(.*)_(\d+)', re.ASCII | re.DOTALL)
"""The name of a file of a split recording, without its suffix."""


class Directory(Recording):
    """The storage files of a directory as one recording."""

    def __init__(self, path: Path, files: list[Path],
                 open_file: Callable[[Path], Recording]) -> None:
        """
        Open a directory.

        :param files: what in it are storage files, by their content.
        :param open_file: opens one of them.
        :raises RecordingError: when none of the files can be read.
        """
        super().__init__(str(path))
        metadata = Metadata() if all(map(is_ros1, files)) else read_metadata(path)
        self.warnings += metadata.warnings
        self._open_file = open_file
        self._members: list[Recording] = []
        self._odd: Collection[tuple[int, str]] = ()
        if not {file.name for file in files} & set(metadata.files):
            files = self._without_doubles(path, files)
        listed = self._listed(path, files, metadata)
        if unlisted := self._unlisted(path, files, listed):
            metadata = replace(metadata, channels={})  # whose counts are of the others only
        faults = [fault for file in (*listed, *unlisted) if (fault := self._add(file, metadata))]
        if not self._members:
            raise RecordingError('; '.join(faults) or f'{path} holds no file that can be read')
        for fault in faults:
            self.warn(fault)
        self._merge_channels(metadata)
        self.start = min(member.start for member in self._members)

    def _listed(self, path: Path, files: list[Path], metadata: Metadata) -> list[Path]:
        """Return the files that metadata list; all where it lists none that is there."""
        there = [file for file in files if file.name in metadata.files]
        if missing := sorted(set(metadata.files) - {file.name for file in files}):
            self.warn(f'{path}: its metadata.yaml lists {", ".join(missing)}, which '
                      f'{"is" if len(missing) == 1 else "are"} not there, or empty')
        return there or files

    def _without_doubles(self, path: Path, files: list[Path]) -> list[Path]:
        """Leave out what was being compressed, or unpacked, when its program was killed."""
        plain = {file.name for file in files}
        doubles = [file for file in files if file.suffix in SUFFIXES and file.stem in plain]
        for file in doubles:
            self.warn(f'{path}: {file.name} is left out, as {file.stem} beside it is read')
        return [file for file in files if file not in doubles]

    def _unlisted(self, path: Path, files: list[Path], listed: list[Path]) -> list[Path]:
        """Return files that go on where the listed ones end; others may be copies of them."""
        kinds = {file.suffix for file in listed}
        found = [file for file in files if file not in listed and file.suffix in kinds]
        later = [file for file in found if _goes_on(file, listed)]
        for named, what in ((later, f'read all the same; ros2 bag reindex {path} lists it'),
                            ([file for file in found if file not in later], 'left out')):
            if named:
                self.warn(f'{path}: its metadata.yaml does not list '
                          f'{", ".join(file.name for file in named)}, {what}')
        return later

    def _add(self, file: Path, metadata: Metadata) -> str:
        """Open one file; return what is wrong where it cannot be opened."""
        try:
            self._members.append(self._open(file, metadata))
        except RecordingError as error:
            return str(error)
        return ''

    def _open(self, file: Path, metadata: Metadata) -> Recording:
        """Open one file; a compressed one is not unpacked for what metadata say of it."""
        if not metadata.is_counted or file.name not in metadata.starts or not is_packed(file):
            return self._open_file(file)
        member = PackedFile(file, self._open_file, {
            topic: replace(channel, count=None) for topic, channel in metadata.channels.items()})
        member.start = metadata.starts[file.name]
        return member

    def _merge_channels(self, metadata: Metadata) -> None:
        """Sum up the files' channels; of two counts the larger knows what was lost."""
        for member in self._members:
            self.warnings += [text for text in member.warnings if text not in self.warnings]
        found = self._found()
        self.channels = {**metadata.channels, **found}
        for topic in metadata.channels.keys() & found.keys():
            known, summed = metadata.channels[topic], found[topic]
            if (known.count or 0) < (summed.count or 0):
                self.warn(f'{self.name}: its metadata.yaml counts fewer messages than its files '
                          f'hold; ros2 bag reindex {self.name} mends it')
            elif metadata.is_counted:
                summed = replace(summed, count=known.count)
            self.channels[topic] = replace(summed, qos=known.qos or summed.qos)

    def _found(self) -> dict[str, Channel]:
        """Return the channels of all files; a topic has one type in all of them."""
        declared = {(number, topic): channel for number, member in enumerate(self._members)
                    for topic, channel in member.channels.items()}
        odd = odd_ones({key: (key[1], replace(channel, definition=''))
                        for key, channel in declared.items()})
        for text in odd.values():
            self.warn(f'{self.name}: {text}')
        self._odd = odd.keys()
        found: dict[str, Channel] = {}
        for key, channel in declared.items():
            if key not in odd:
                found[key[1]] = found[key[1]].plus(channel) if key[1] in found else channel
        return found

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        yield from in_time_order(
            ((member.start, partial(self._read_member, number, topics))
             for number, member in enumerate(self._members)), lambda record: record.time)

    def _read_member(self, number: int, topics: frozenset[str]) -> Iterator[Record]:
        member = self._members[number]
        here = [topic for topic in topics & member.channels.keys()
                if (number, topic) not in self._odd]
        if here:
            yield from member.records(here)
        for text in member.warnings:
            self.warn(text)


def _goes_on(file: Path, listed: list[Path]) -> bool:
    """Say whether a file is a later one of a split recording, NAME_0, NAME_1 and so on."""
    own, *others = (NUMBERED.fullmatch(each.stem) for each in (file, *listed))
    return own is not None and all(
        other is not None and other[1] == own[1] and int(other[2]) < int(own[2])
        for other in others)
