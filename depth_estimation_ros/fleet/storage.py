# SPDX-License-Identifier: Apache-2.0
"""A folder on any filesystem that fsspec knows, whose files appear whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ..recordings import RecordingError
from ..whole_file import sync

FOLDER = '.process_bags'
"""Below an output: what a job must know of itself, and what is not whole."""

TEMPORARY = f'{FOLDER}/tmp'
"""Files that are being written, and those that killed runs have left."""


class Storage:
    """A folder; names below it are relative, with slashes."""

    def __init__(self, url: str) -> None:
        """
        Reach a folder, which need not be there.

        :param url: a path, or one with a protocol, such as s3://bucket/drives.
        :raises RecordingError: when the protocol is unknown, or its package is not installed.
        """
        self.url = url
        try:
            self.filesystem, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise RecordingError(f'{url} cannot be reached: {error}') from error
        self.root = PurePosixPath(root)
        self.is_local = isinstance(self.filesystem, LocalFileSystem)

    @property
    def absolute(self) -> str:
        """The URL that means the same in a process that works in another folder."""
        return str(self.root) if self.is_local else self.url

    def path(self, name: str) -> str:
        """Return a name's path as the filesystem has it."""
        return str(self.root / name)

    def exists(self, name: str) -> bool:
        """Say whether there is a file or folder of the name."""
        return bool(self.filesystem.exists(self.path(name)))

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None where there is none."""
        try:
            return bytes(self.filesystem.cat_file(self.path(name)))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole; raises RecordingError where it cannot be written."""
        with self._named(name) as temporary:
            self.filesystem.pipe_file(temporary, data)

    def put(self, local: Path, name: str) -> None:
        """Copy a file of this machine whole; raises RecordingError where it cannot be written."""
        with self._named(name) as temporary:
            self.filesystem.put_file(str(local), temporary)

    def move(self, folder: str, to: str, *, last: str) -> None:
        """
        Give a folder its name: at once where folders can be renamed, else file by file.

        Where there is a folder of that name already its files are replaced.

        :param last: the file without which the others count for nothing.
        """
        self._made(f'{to}/file' if self.exists(to) or not self.is_local else to)
        if self.is_local and not self.exists(to):
            Path(self.path(folder)).replace(self.path(to))
            return
        files = sorted(self._files(folder), key=lambda path: (PurePosixPath(path).name == last,
                                                              path))
        for path in files:
            self._replace(path, self.path(f'{to}/{PurePosixPath(path).name}'))
        self.remove(folder)

    def refresh(self) -> None:
        """Forget what was listed: other machines write here too."""
        self.filesystem.invalidate_cache()

    def remove(self, folder: str) -> None:
        """Remove a folder and all in it, if it is there."""
        if self.exists(folder):
            self.filesystem.rm(self.path(folder), recursive=True)

    def holds(self, folder: str, pattern: str) -> bool:
        """Say whether a file whose name a pattern matches lies anywhere below a folder."""
        return any(PurePosixPath(path).match(pattern) for path in self._files(folder))

    @contextmanager
    def _named(self, name: str) -> Iterator[str]:
        """Hand out the path of a temporary file, which is then given its name."""
        temporary = self.path(f'{TEMPORARY}/{uuid.uuid4().hex}')
        try:
            self._made(name)
            self._made(f'{TEMPORARY}/file')
            try:
                yield temporary
                self._replace(temporary, self.path(name))
            finally:
                if self.filesystem.exists(temporary):
                    self.filesystem.rm_file(temporary)
        except OSError as error:
            raise RecordingError(f'{self.url}: {name} cannot be written: '
                                 f'{error.strerror or error}') from error

    def _made(self, name: str) -> None:
        self.filesystem.makedirs(str((self.root / name).parent), exist_ok=True)

    def _replace(self, path: str, to: str) -> None:
        if self.is_local:
            sync(Path(path))
            Path(path).replace(to)
        else:
            self.filesystem.mv(path, to)

    def _files(self, folder: str) -> list[Any]:
        return list(self.filesystem.find(self.path(folder)))
