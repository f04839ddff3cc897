# SPDX-License-Identifier: Apache-2.0
"""Bags that rosbag2 compressed as whole files: .mcap.zstd and .db3.zstd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from .errors import RecordingError
from .recording import ZSTD_MAGIC, Channel, Record, Recording

SKIPPED = b'\x50\x2a\x4d\x18'
"""What a frame of anything else begins with, up to the last four bits of the first byte."""

SUFFIXES = ('.zstd', '.zst')

LONGEST_WINDOW = 1 << 31
"""Bytes that zstd may look back, its own limit; zstd --long writes more than the 128 MiB that are
allowed unless asked."""


def is_packed(path: Path) -> bool:
    """Say whether a file begins as a compressed one, be it by a frame that is skipped."""
    with path.open('rb') as stream:
        beginning = stream.read(4)
    return beginning == ZSTD_MAGIC or (
        beginning[1:] == SKIPPED[1:] and beginning[0] & 0xf0 == SKIPPED[0])


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

    @contextmanager
    def _unpacked(self) -> Iterator[Recording]:
        with TemporaryDirectory(prefix='recording-') as folder:
            plain, reason = Path(folder) / self._path.stem, 'nothing comes out of it'
            try:
                with self._path.open('rb') as packed, plain.open('wb') as unpacked:
                    zstandard.ZstdDecompressor(max_window_size=LONGEST_WINDOW).copy_stream(
                        packed, unpacked)
            except zstandard.ZstdError as error:
                reason = str(error)
                self.warn(f'{self._path} is damaged ({error}): what was unpacked before is read')
            except OSError as error:
                raise RecordingError(f'{self._path} cannot be unpacked into {folder}: '
                                     f'{error.strerror}; TMPDIR names another folder') from error
            if not plain.stat().st_size:
                raise RecordingError(f'{self._path} cannot be unpacked: {reason}')
            try:
                recording = self._open_file(plain)
            except RecordingError as error:
                raise RecordingError('; '.join([self._of_packed(str(error), plain),
                                                *self.warnings])) from error
            yield recording
            for text in recording.warnings:
                self.warn(self._of_packed(text, plain))

    def _of_packed(self, text: str, plain: Path) -> str:
        """Name in a text the file that the user knows, not the temporary one."""
        return text.replace(str(plain), str(self._path))

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        with self._unpacked() as recording:
            yield from recording.records(topics)
