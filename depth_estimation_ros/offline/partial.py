# SPDX-License-Identifier: Apache-2.0
"""An output directory that grows in finished parts, survives any kill, and appears whole."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..recordings import RecordingError, Writer
from ..recordings.metadata import FILE_NAME
from ..whole_file import sync
from .files import fault, read_note, write_whole
from .parts import differences, metadata_file, part_note


class Partial:
    """
    The hidden folder beside an output in which its parts are finished one by one.

    A part is finished when its note is there, which is written after its file: a kill at any
    moment leaves finished parts, and at most one that is begun anew.
    """

    def __init__(self, output: Path, job: Mapping[str, Any], *, restart: bool = False) -> None:
        """
        Take up what an earlier run left, or begin.

        :param output: the directory to make.
        :param job: what decides its content; a run with another one goes not on.
        :param restart: whether to throw away what an earlier run left.
        :raises RecordingError: when the output exists, another process writes it, an earlier run
            had another job, or nothing can be written there.
        """
        self.output = output.absolute()
        self.folder = self.output.parent / f'.{output.name}.partial'
        self._bag, self._notes = self.folder / 'bag', self.folder / 'notes'
        self._work, self._whole = self.folder / 'work', self.folder / 'whole'
        self.is_complete = self.output.is_dir() and self._whole.is_file() and (
            not self._bag.exists())
        """Whether an earlier run ended after its output had its name."""
        if self.output.exists() and not self.is_complete:
            raise RecordingError(f'{output} exists: remove it, or name another output')
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = locked(self.folder / 'lock', str(self.output))
        except OSError as error:
            raise fault(output, error) from error
        try:
            if not self.is_complete:
                self._begin(job, restart)
        except (OSError, RecordingError) as error:
            self.__exit__(type(error), error, None)
            raise error if isinstance(error, RecordingError) else fault(output, error) from error

    def finished(self, number: int) -> dict[str, Any] | None:
        """Return what was noted of a part, if it is finished."""
        return read_note(self._notes / f'{number}.json')

    def writer(self, number: int) -> Writer:
        """Return what writes a part."""
        return Writer(self._work / self._name(number))

    def finish(self, number: int, accounts: Mapping[str, Any]) -> None:
        """Take in a part that its writer has closed, and what became of its frames."""
        name = self._name(number)
        try:
            note = part_note(self._work / name, accounts)
            sync(self._work / name / f'{name}.mcap')
            (self._work / name / f'{name}.mcap').replace(self._bag / f'{name}.mcap')
            shutil.rmtree(self._work / name)
            write_whole(self._notes / f'{number}.json', json.dumps(note).encode())
        except OSError as error:
            raise fault(self.output, error) from error

    def publish(self, count: int, accounts: Mapping[str, Any]) -> None:
        """
        Give the directory its name.

        :param count: how many parts it has.
        :param accounts: by image topic, kept in metadata.yaml.
        """
        notes = [note for note in map(self.finished, range(count)) if note]
        try:
            write_whole(self._work / FILE_NAME, metadata_file(notes, accounts))
            (self._work / FILE_NAME).replace(self._bag / FILE_NAME)
            write_whole(self._whole, b'')
            self._bag.rename(self.output)
        except OSError as error:
            raise fault(self.output, error) from error

    def remove(self) -> None:
        """Leave nothing behind but the output."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def holds_parts(self) -> bool:
        """Whether anything is finished that a next run can take up."""
        return self._notes.is_dir() and any(self._notes.glob('*.json'))

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None or not self.holds_parts:
            self.remove()
        self._lock.close()

    def _name(self, number: int) -> str:
        return f'{self.output.name}_{number}'

    def _begin(self, job: Mapping[str, Any], restart: bool) -> None:
        note, text = self.folder / 'job.json', json.dumps(job, indent=1, sort_keys=True)
        shutil.rmtree(self._work, ignore_errors=True)
        if restart:
            shutil.rmtree(self._bag, ignore_errors=True)
            shutil.rmtree(self._notes, ignore_errors=True)
        if self.holds_parts:
            self._compare(read_note(note), job)
        write_whole(note, text.encode())
        for folder in (self._bag, self._notes, self._work):
            folder.mkdir(exist_ok=True)

    def _compare(self, before: Mapping[str, Any] | None, job: Mapping[str, Any]) -> None:
        """Refuse to go on with parts of another job, or of one that nobody knows any more."""
        if before is None:
            raise RecordingError(f'{self.folder}/job.json is missing or damaged, which says what '
                                 f'the finished parts of {self.output} are: --restart makes them '
                                 'anew')
        if changed := differences(before, job):
            raise RecordingError(f'{self.output} was begun with {changed}: say the same, or '
                                 '--restart')


def locked(path: Path, output: str) -> IO[str]:
    """
    Return an open file that no other process has open this way.

    :param output: what it stands for, as the user knows it.
    :raises RecordingError: when another process has.
    """
    lock = path.open('w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RecordingError(f'{output} is being written by another process') from error
    return lock
