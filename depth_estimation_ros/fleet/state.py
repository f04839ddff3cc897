# SPDX-License-Identifier: Apache-2.0
"""How far a job over many bags is: its options, and of each bag what is planned and finished."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any

from ..offline.account import Account, without_depth
from ..offline.files import fault, note_of
from ..offline.partial import locked
from ..offline.parts import differences, metadata_file, part_note
from ..recordings import RecordingError, Writer
from ..recordings.metadata import FILE_NAME
from .bags import Bag
from .storage import FOLDER, TEMPORARY, Storage

ATTEMPTS = 4
"""Times that a part may cost its worker its life; then it is at fault itself."""


class JobState:
    """The notes of one output; everything that two runs must agree on."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._lock: IO[str] | None = None

    def begin(self, job: Mapping[str, Any], *, restart: bool) -> None:
        """
        Note what decides the depth, and on a disk keep other jobs out.

        :param restart: whether it may be something else than before.
        :raises RecordingError: where it was something else, or another job writes there.
        """
        name, text = f'{FOLDER}/job.json', json.dumps(job, indent=1, sort_keys=True).encode()
        if self.storage.is_local:
            lock = Path(self.storage.path(f'{FOLDER}/lock'))
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                self._lock = locked(lock, self.storage.url)
            except OSError as error:
                raise fault(Path(self.storage.url), error) from error
        before = self.storage.read(name)
        if before is not None and before != text and not restart:
            if self.storage.holds(f'{FOLDER}/bags', 'part_*.json'):
                self._release()
                raise RecordingError(self._other(note_of(before), job))
            self.storage.remove(f'{FOLDER}/bags')  # plans with the other options
        self.storage.write(name, text)

    def _other(self, before: Mapping[str, Any] | None, job: Mapping[str, Any]) -> str:
        """Return why a job does not go on with the parts of the one before."""
        if before is None:
            return (f'{self.storage.url}/{FOLDER}/job.json is damaged, which says what the '
                    'finished parts are: name another output, or --restart')
        return (f'{self.storage.url} was begun with {differences(before, job)}: say the same, '
                'name another output, or --restart')

    def end(self) -> None:
        """Remove what killed runs have left, and let others in."""
        self.storage.remove(TEMPORARY)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()


class BagState:
    """What is finished of one bag; its parts may be made by any machine, in any order."""

    def __init__(self, storage: Storage, bag: Bag) -> None:
        """Look at nothing yet."""
        self._storage, self.bag = storage, bag
        self._folder = f'{FOLDER}/bags/{bag.name}'

    def is_whole(self, count: int) -> bool:
        """Say whether the bag with depth has its name and all of its parts."""
        return self._storage.exists(f'{self.bag.name}/{FILE_NAME}') and all(
            map(self.finished, range(count)))

    def plan(self) -> dict[str, Any] | None:
        """
        Return what was noted of the bag before its parts were made, if anything was.

        :raises RecordingError: when the bag has changed since, or something else has its name.
        """
        plan = self._note('plan')
        if plan is None:
            if self._is_planned:
                raise RecordingError(f'the plan of {self.bag.name} in {self._storage.url} is '
                                     f'damaged: --redo {self.bag.name} makes it anew')
            if self._storage.exists(self.bag.name):
                raise RecordingError(f'{self.bag.name} exists in {self._storage.url}: remove it, '
                                     'or name another output')
            return None
        if plan['source'] != self.bag.signature:
            raise RecordingError(f'{self.bag.source} has changed since: --redo {self.bag.name} '
                                 'makes it anew')
        return plan

    def keep_plan(self, plan: Mapping[str, Any]) -> None:
        """Note a plan."""
        self._write('plan', {**plan, 'source': self.bag.signature})

    def finished(self, number: int) -> dict[str, Any] | None:
        """Return what was noted of a part, if it is finished and its file is there."""
        name = f'{PurePosixPath(self.bag.name).name}_{number}.mcap'
        if not any(self._storage.exists(f'{folder}/{name}')
                   for folder in (f'{self._folder}/bag', self.bag.name)):
            return None
        return self._note(f'part_{number}')

    def attempt(self, number: int, run: str) -> None:
        """
        Note that a part is begun.

        :param run: what tells one call of the command from another; each may try anew.
        :raises RecordingError: when it has cost too many workers their lives in this run.
        """
        before = self._note(f'attempts_{number}') or {}
        count = before.get('count', 0) if before.get('run') == run else 0
        if count >= ATTEMPTS:
            raise RecordingError(f'its worker was lost {count} times: killed for its memory, or '
                                 'by a fault in a library?')
        self._write(f'attempts_{number}', {'run': run, 'count': count + 1})

    def publish(self, count: int) -> dict[str, Account]:
        """
        Give the bag its name, once all of its parts are finished.

        :param count: how many those are.
        :return: what became of the frames of each image topic.
        :raises RecordingError: when no image has depth; the bag is not made then.
        """
        self._storage.refresh()
        notes = [note for note in map(self.finished, range(count)) if note]
        if len(notes) < count:
            raise RecordingError(f'{count - len(notes)} of its {count} parts have gone since they '
                                 'were finished: the same command makes them again')
        accounts: dict[str, Account] = {}
        for note in notes:
            for topic, account in note['accounts'].items():
                accounts.setdefault(topic, Account()).add(account)
        if lacking := without_depth(accounts):
            raise RecordingError(lacking)
        if self._storage.exists(f'{self._folder}/bag'):
            self._storage.write(f'{self._folder}/bag/{FILE_NAME}', metadata_file(
                notes, {topic: account.as_json() for topic, account in accounts.items()}))
            self._storage.move(f'{self._folder}/bag', self.bag.name, last=FILE_NAME)
        return accounts

    def forget(self) -> None:
        """Remove the bag with depth, as far as it is there, and all notes of it."""
        if self._is_planned:
            self._storage.remove(self.bag.name)
        self._storage.remove(self._folder)

    def part(self) -> PartTarget:
        """Return where this machine makes parts."""
        return PartTarget(self)

    def take(self, number: int, folder: Path, accounts: Mapping[str, Any]) -> None:
        """Take in a part from a folder of this machine; its note comes last."""
        name = folder.name
        self._storage.put(folder / f'{name}.mcap', f'{self._folder}/bag/{name}.mcap')
        self._write(f'part_{number}', part_note(folder, accounts))

    @property
    def _is_planned(self) -> bool:
        return self._storage.exists(f'{self._folder}/plan.json')

    def _note(self, name: str) -> dict[str, Any] | None:
        text = self._storage.read(f'{self._folder}/{name}.json')
        return None if text is None else note_of(text)

    def _write(self, name: str, note: Mapping[str, Any]) -> None:
        self._storage.write(f'{self._folder}/{name}.json', json.dumps(note).encode())


class PartTarget:
    """Writes parts into a temporary folder of this machine, and hands them over whole."""

    def __init__(self, state: BagState) -> None:
        self._state = state
        self._scratch = tempfile.TemporaryDirectory(prefix='process_bags-')

    def writer(self, number: int) -> Writer:
        """Return what writes a part."""
        return Writer(self._folder(number))

    def finish(self, number: int, accounts: Mapping[str, Any]) -> None:
        """Hand over a part that its writer has closed."""
        folder = self._folder(number)
        self._state.take(number, folder, accounts)
        for path in (*folder.iterdir(), folder):
            path.rmdir() if path.is_dir() else path.unlink()

    def __enter__(self) -> PartTarget:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._scratch.cleanup()

    def _folder(self, number: int) -> Path:
        return Path(self._scratch.name) / f'{PurePosixPath(self._state.bag.name).name}_{number}'
