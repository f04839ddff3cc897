# SPDX-License-Identifier: Apache-2.0
"""The bags below some folders, on any filesystem, and a bag as files of this machine."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ..recordings import RecordingError
from ..recordings.metadata import FILE_NAME

SUFFIXES = ('.mcap', '.db3', '.bag')
PACKED = '.zstd'
LOG = '-wal'
"""What SQLite appends to the name of the log of a file, which holds messages too."""

MAGIC = '*?['
STAMPS = ('ETag', 'etag', 'mtime', 'LastModified', 'last_modified', 'updated', 'created')
"""Where filesystems say which content a file has, or since when."""


@dataclass(frozen=True)
class File:
    """A file of a bag, and what tells whether it is still the same."""

    path: str
    """With the protocol, where there is one."""
    size: int
    stamp: str
    """Its time of change, or the store's tag of its content; '' where neither is known."""


@dataclass(frozen=True)
class Bag:
    """A recording to make another of, with depth."""

    name: str
    """Of its output, below the output's folder."""
    source: str
    """The directory or file, with the protocol where there is one."""
    files: tuple[File, ...]

    @property
    def signature(self) -> list[Any]:
        """What a bag of the same name and another content differs in."""
        return [[PurePosixPath(file.path).name, file.size, file.stamp] for file in self.files
                if file.path.endswith(f'/{FILE_NAME}') or (
                    _is_storage(file.path) and (file.size or not file.path.endswith(LOG)))]

    def as_json(self) -> str:
        """Return the bag as a line of text, for other machines."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Bag:
        """Return the bag of a line."""
        found = json.loads(text)
        return cls(found['name'], found['source'], tuple(File(**file) for file in found['files']))


def find_bags(sources: Iterable[str], output: str) -> list[Bag]:
    """
    Return the bags that some paths lead to, in the order of their names.

    A directory with metadata.yaml is one bag, and so is every other .mcap, .db3 or .bag file.

    :param sources: bags, folders with bags anywhere below, or patterns such as s3://drives/**;
        what the pattern ends in is the beginning of the names.
    :param output: a folder whose bags are not meant.
    :raises RecordingError: when a path leads to no bag, or two bags to one name, or one
        into another.
    """
    found: dict[str, Bag] = {}
    for source in sources:
        bags = _bags_of(source, output)
        if not bags:
            raise RecordingError(f'{source} leads to no bag: a directory with {FILE_NAME}, or a '
                                 f'file that ends in {", ".join(SUFFIXES)}')
        for bag in bags:
            other = found.setdefault(bag.name, bag)
            if other.source != bag.source:
                raise RecordingError(f'{other.source} and {bag.source} would both become '
                                     f'{bag.name}: give them to runs with outputs of their own')
    for name in found:
        for above in map(str, PurePosixPath(name).parents):
            if above in found:
                raise RecordingError(f'{found[name].source} would lie in what becomes of '
                                     f'{found[above].source}: give them to runs with outputs of '
                                     'their own')
    return [found[name] for name in sorted(found)]


def fetch(bag: Bag, scratch: Path) -> Path:
    """Return a bag as a path of this machine: where it is, or copied into a folder."""
    filesystem, root = fsspec.core.url_to_fs(bag.source)
    if isinstance(filesystem, LocalFileSystem):
        return Path(root)
    target = scratch / PurePosixPath(root).name
    for file in bag.files:
        local = target / PurePosixPath(file.path).name if filesystem.isdir(root) else target
        local.parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(fsspec.core.url_to_fs(file.path)[1], str(local))
    return target


def _bags_of(source: str, output: str) -> list[Bag]:
    try:
        filesystem, root = fsspec.core.url_to_fs(source)
    except (ImportError, ValueError) as error:
        raise RecordingError(f'{source} cannot be reached: {error}') from error
    skipped = PurePosixPath(fsspec.core.url_to_fs(output)[1])
    if skipped in (PurePosixPath(root), *PurePosixPath(root).parents):
        raise RecordingError(f'{source} is, or lies in, the output {output}: name another')
    fixed = PurePosixPath(root) if filesystem.exists(root) else _fixed(root)
    files = {path: described for path, described in _files(filesystem, root).items()
             if skipped not in PurePosixPath(path).parents and not _is_hidden(path, fixed)}
    is_bag = str(fixed) == root and (root in files or f'{root}/{FILE_NAME}' in files)
    base = fixed.parent if is_bag else fixed
    return [_bag(filesystem, place, members, base, files)
            for place, members in _grouped(files).items()]


def _files(filesystem: Any, root: str) -> dict[str, Any]:
    """Return all files that a path or a pattern leads to, by path."""
    if not any(sign in root for sign in MAGIC) or filesystem.exists(root):
        return dict(filesystem.find(root, detail=True))
    found: dict[str, Any] = {}
    for path, described in filesystem.glob(root, detail=True).items():
        if described['type'] == 'directory':
            found |= filesystem.find(path, detail=True)
        else:
            found[path] = described
    return found


def _is_hidden(path: str, fixed: PurePosixPath) -> bool:
    """Say whether a path goes through a hidden folder below what a pattern begins with."""
    return any(part.startswith('.') for part in PurePosixPath(path).parts[len(fixed.parts):])


def _fixed(root: str) -> PurePosixPath:
    """Return what a pattern begins with; names are relative to it."""
    fixed = PurePosixPath(root)
    while any(sign in str(fixed) for sign in MAGIC):
        fixed = fixed.parent
    return fixed


def _grouped(files: dict[str, Any]) -> dict[str, list[str]]:
    """Return the files of each bag by its place: a directory with metadata, or a lone file."""
    folders = {str(PurePosixPath(path).parent) for path in files
               if PurePosixPath(path).name == FILE_NAME}
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted(files):
        folder = str(PurePosixPath(path).parent)
        if folder in folders:
            groups[folder].append(path)
        elif _is_storage(path) and not path.endswith(LOG):
            groups[path].append(path)
    return {place: members for place, members in groups.items() if any(map(_is_storage, members))}


def _is_storage(path: str) -> bool:
    return path.removesuffix(PACKED).removesuffix(LOG).endswith(SUFFIXES)


def _bag(filesystem: Any, place: str, members: list[str], base: PurePosixPath,
         files: dict[str, Any]) -> Bag:
    name = str(PurePosixPath(place).relative_to(base)).removesuffix(PACKED)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return Bag(name, filesystem.unstrip_protocol(place) if _is_remote(filesystem) else place,
               tuple(_file(filesystem, path, files[path]) for path in members))


def _file(filesystem: Any, path: str, described: dict[str, Any]) -> File:
    described = described or filesystem.info(path)
    stamp = next((str(described[key]) for key in STAMPS if described.get(key)), '')
    return File(filesystem.unstrip_protocol(path) if _is_remote(filesystem) else path,
                int(described.get('size') or 0), stamp)


def _is_remote(filesystem: Any) -> bool:
    return not isinstance(filesystem, LocalFileSystem)
