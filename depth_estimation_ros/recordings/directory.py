# SPDX-License-Identifier: Apache-2.0
"""rosbag2 directories: one or many storage files, with or without their metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from .errors import RecordingError
from .metadata import Metadata, read_metadata
from .packed_file import PackedFile
from .recording import ZSTD_MAGIC, Channel, Record, Recording, in_time_order

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
        metadata = read_metadata(path)
        self.warnings += metadata.warnings
        self._open_file = open_file
        self._members: list[Recording] = []
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
            member = self._open(file, metadata)
        except RecordingError as error:
            return str(error)
        if file.name in metadata.starts:
            member.start = metadata.starts[file.name]
        self._members.append(member)
        return ''

    def _open(self, file: Path, metadata: Metadata) -> Recording:
        with file.open('rb') as stream:
            packed = stream.read(len(ZSTD_MAGIC)) == ZSTD_MAGIC
        if packed and metadata.channels and file.name in metadata.starts:
            described = {topic: replace(channel, count=None)
                         for topic, channel in metadata.channels.items()}
            return PackedFile(file, self._open_file, described)
        return self._open_file(file)

    def _merge_channels(self, metadata: Metadata) -> None:
        """Sum up the files' channels; counts are the metadata's, which know what was lost."""
        self.channels = dict(metadata.channels)
        for member in self._members:
            self.warnings += [text for text in member.warnings if text not in self.warnings]
            for topic, channel in member.channels.items():
                known = self.channels.get(topic)
                if known is None:
                    self.channels[topic] = channel
                elif topic in metadata.channels:
                    self.channels[topic] = _completed(known, channel)
                else:
                    self.channels[topic] = _summed(known, channel)

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        yield from in_time_order(
            ((member.start, partial(self._read_member, member, topics))
             for member in self._members), lambda record: record.time)

    def _read_member(self, member: Recording, topics: frozenset[str]) -> Iterator[Record]:
        here = topics & member.channels.keys()
        if here:
            yield from member.records(here)
        for text in member.warnings:
            self.warn(text)


def _completed(known: Channel, found: Channel) -> Channel:
    return replace(known, definition=known.definition or found.definition,
                   qos=known.qos or found.qos)


def _summed(known: Channel, found: Channel) -> Channel:
    count = None if known.count is None or found.count is None else known.count + found.count
    return replace(_completed(known, found), count=count)


def _goes_on(file: Path, listed: list[Path]) -> bool:
    """Say whether a file is a later one of a split recording, NAME_0, NAME_1 and so on."""
    own, *others = (NUMBERED.fullmatch(each.stem) for each in (file, *listed))
    return own is not None and all(
        other is not None and other[1] == own[1] and int(other[2]) < int(own[2])
        for other in others)
