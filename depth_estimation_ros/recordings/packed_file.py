# SPDX-License-Identifier: Apache-2.0
"""Bags that rosbag2 compressed as whole files: .mcap.zstd and .db3.zstd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from .errors import RecordingError
from .recording import Channel, Record, Recording


class PackedFile(Recording):
    """Unpacks into a temporary file, not into memory, while it is read."""

    def __init__(self, path: Path, open_file: Callable[[Path], Recording],
                 channels: Mapping[str, Channel] | None = None) -> None:
        """
        Find what the file holds; this unpacks it unless its channels are given.

        :param open_file: opens what was unpacked.
        """
        super().__init__(str(path), channels)
        self._path, self._open_file = path, open_file
        if channels is None:
            with self._unpacked() as recording:
                self.channels, self.start = recording.channels, recording.start
                self.warnings += recording.warnings

    @contextmanager
    def _unpacked(self) -> Iterator[Recording]:
        with TemporaryDirectory(prefix='recording-') as folder:
            plain = Path(folder) / self._path.stem
            try:
                with self._path.open('rb') as packed, plain.open('wb') as unpacked:
                    zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
            except zstandard.ZstdError as error:
                self.warn(f'{self._path} is damaged ({error}): what was unpacked before is read')
            except OSError as error:
                raise RecordingError(f'{self._path} cannot be unpacked into {folder}: '
                                     f'{error.strerror}; TMPDIR names another folder') from error
            yield self._open_file(plain)

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        with self._unpacked() as recording:
            yield from recording.records(topics)
            for text in recording.warnings:
                self.warn(text)
