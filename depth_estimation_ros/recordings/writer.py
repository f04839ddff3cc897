# SPDX-License-Identifier: Apache-2.0
"""Writing rosbag2 directories that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Qos
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    StoragePlugin,
    WriterError,
)
from rosbags.rosbag2 import Writer as RosbagsWriter

from .errors import RecordingError
from .qos import profiles_of
from .types import store_of

FAILURES = (OSError, WriterError)

UNKNOWN_TYPE = {'msgdef': '', 'rihs01': f'RIHS01_{0:064}'}
"""What is written of a type without definition: nothing, and a hash that is no type's."""


class Writer:
    """
    Writes an MCAP rosbag2 directory under another name and renames it when it is closed.

    As a context manager it leaves nothing behind when its body raises.
    """

    def __init__(self, path: Path, *, compress: bool = True) -> None:
        """
        Make a temporary directory beside the one to write.

        :param path: the directory to make; must not exist.
        :param compress: whether chunks are compressed, by zstd.
        :raises RecordingError: when it exists, or cannot be made.
        """
        self.path = path.absolute()
        self._topics: dict[str, Any] = {}
        if self.path.exists():
            raise RecordingError(f'{path} exists: remove it, or name another output')
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f'.{path.name}-', dir=self.path.parent))
        except OSError as error:
            raise self._fault(error) from error
        try:
            self._writer = RosbagsWriter(self._folder / path.name, version=9,
                                         storage_plugin=StoragePlugin.MCAP)
            if compress:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except FAILURES as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise self._fault(error) from error

    def __contains__(self, topic: str) -> bool:
        return topic in self._topics

    def add_topic(self, topic: str, kind: str, *, definition: str = '',
                  qos: str | Sequence[Qos] = (), opaque: bool = False) -> None:
        """
        Declare a topic.

        :param kind: its type, package/msg/Name.
        :param definition: of the type, in .msg or IDL syntax; the standard one when empty.
        :param qos: the offered profiles, or the YAML that a recording has of them.
        :param opaque: take a type of which no definition is known; its readers need their own.
        :raises RecordingError: when the type is unknown, the YAML holds no profiles, or nothing
            more can be written.
        """
        store = store_of(kind, definition)
        if kind not in store.types and not opaque:
            raise RecordingError(f'{self.path}: {topic} is of type {kind}, which is unknown: it '
                                 'needs its definition')
        described = {'typestore': store} if kind in store.types else UNKNOWN_TYPE
        profiles = profiles_of(qos) if isinstance(qos, str) else list(qos)
        try:
            self._topics[topic] = self._writer.add_connection(
                topic, kind, offered_qos_profiles=profiles, **described)
        except FAILURES as error:
            raise self._fault(error) from error

    def write(self, topic: str, time: int, data: bytes) -> None:
        """
        Append a message.

        :param time: nanoseconds.
        :param data: CDR.
        """
        try:
            self._writer.write(self._topics[topic], time, data)
        except FAILURES as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Finish the directory and give it its name; nothing is left of it when that fails."""
        try:
            self._writer.close()
            (self._folder / self.path.name).rename(self.path)
        except FAILURES as error:
            raise self._fault(error) from error
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._writer.abort()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _fault(self, error: Exception) -> RecordingError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return RecordingError(f'{self.path} cannot be written: {reason}')
