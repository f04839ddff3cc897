# SPDX-License-Identifier: Apache-2.0
"""What one worker does: plan bags, and make ranges of their parts with one network."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..core.errors import DepthError, DeviceLostError
from ..offline.account import Account
from ..offline.added import ProcessOptions, outputs_of
from ..offline.network import Network, NetworkOptions
from ..offline.one_pass import Ends, Process, offered_profiles
from ..recordings import RecordingError, open_recording
from .bags import Bag, fetch
from .state import BagState
from .storage import Storage

Row = dict[str, Any]

TRIES = 2
"""Parts of a bag that fail alike, one after another, after which the others are not tried: each
would open the bag anew."""


@dataclass(frozen=True)
class Job:
    """What all workers are told."""

    output: str
    """A folder on any filesystem."""
    run: str
    """Tells one call of the command from another."""
    process: ProcessOptions
    network: NetworkOptions

    def state(self, bag: Bag) -> BagState:
        """Return what is finished of a bag."""
        return BagState(Storage(self.output), bag)


@dataclass(frozen=True)
class Range:
    """Parts of a bag that follow each other."""

    bag: Bag
    first: int
    end: int
    """The part after the last one."""


def plan_bag(job: Job, bag: Bag) -> Row:
    """
    Read a bag through once, and note how many parts it has.

    :return: 'bag', 'parts' and 'warnings'; or 'bag' and an 'error'.
    """
    try:
        with tempfile.TemporaryDirectory(prefix='process_bags-') as scratch:
            recording = open_recording(fetch(bag, Path(scratch)))
            outputs_of(recording, job.process)
            offered_profiles(recording)  # for its warnings: those of workers are not told
            parts = Ends(job.process.part).count(record.time for record in recording.records())
            plan = {'parts': parts, 'warnings': recording.warnings}
        job.state(bag).keep_plan(plan)
    except Exception as error:  # a bag's boundary: the others are made all the same
        return {'bag': bag.name, 'parts': 0, 'warnings': [], 'error': explained(error)}
    return {'bag': bag.name, 'error': '', **plan}


def explained(error: Exception) -> str:
    """Return an error in one line; of one that nobody raised on purpose also its type."""
    text = ' '.join(str(error).split())
    return text if isinstance(error, (DepthError, OSError)) or type(error).__module__.startswith(
        __package__.partition('.')[0]) else f'{type(error).__name__}: {text}'


class OpenBag:
    """A bag that a worker has gone through up to some part."""

    def __init__(self, job: Job, bag: Bag, network: Network) -> None:
        """Open it; raises RecordingError, or what its filesystem raises."""
        self.bag = bag
        self._stack = ExitStack()
        try:
            scratch = self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix='process_bags-'))
            recording = open_recording(fetch(bag, Path(scratch)))
            target = self._stack.enter_context(job.state(bag).part())
            self._process = Process(recording, outputs_of(recording, job.process), job.process,
                                    network, target, tqdm(disable=True))
            self._stack.callback(self._process.close)
        except BaseException:
            self._stack.close()
            raise

    @property
    def part(self) -> int:
        """The part that comes next."""
        return self._process.part

    def make(self, number: int) -> dict[str, Any]:
        """Go past the parts before one, and make it."""
        while self._process.part < number:
            self._process.pass_by()
        return self._process.make()

    def close(self) -> None:
        """End its threads and remove its copies."""
        self._stack.close()


@dataclass
class PartMaker:
    """Makes ranges of parts, one after another; an error is a row, and the next part is made."""

    job: Job
    _network: Network | None = field(default=None, init=False)
    _fault: Exception | None = field(default=None, init=False)
    """Why the network cannot be loaded; tried once."""
    _open: OpenBag | None = field(default=None, init=False)

    def make(self, wanted: Range) -> Iterator[Row]:
        """
        Make the parts of a range that are not finished.

        :return: a row for each, with 'error' where it could not be made.
        """
        last, alike = '', 0
        for number in range(wanted.first, wanted.end):
            start, accounts, made, error = time.perf_counter(), dict[str, Any](), False, ''
            try:
                if alike == TRIES:
                    raise RecordingError(last)
                accounts, made = self._part(wanted.bag, number)
            except DeviceLostError:
                self.close_bag()
                raise  # only another process helps
            except Exception as fault:  # a part's boundary
                error = explained(fault)
                self.close_bag()
            alike = min(alike + 1, TRIES) if error and error == last else bool(error)
            last = error
            yield _row(wanted.bag.name, number, accounts, error, made=made,
                       seconds=time.perf_counter() - start)

    def _part(self, bag: Bag, number: int) -> tuple[dict[str, Any], bool]:
        """Return what became of a part's frames, and whether it was made now."""
        state = self.job.state(bag)
        if note := state.finished(number):
            return note['accounts'], False
        state.attempt(number, self.job.run)
        return self._at(bag, number).make(number), True

    def close_bag(self) -> None:
        """Close the bag that is open, if one is."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def close(self) -> None:
        """Release the device."""
        self.close_bag()
        if self._network is not None:
            self._network.close()

    def _at(self, bag: Bag, number: int) -> OpenBag:
        """Return a bag that is not yet past a part."""
        if self._open is not None and (self._open.bag != bag or self._open.part > number):
            self.close_bag()
        if self._open is None:
            self._open = OpenBag(self.job, bag, self._loaded())
        return self._open

    def _loaded(self) -> Network:
        if self._fault is not None:
            raise self._fault
        if self._network is None:
            try:
                self._network = Network(self.job.network)
            except DepthError as error:
                self._fault = error
                raise
        return self._network


def _row(name: str, number: int, accounts: dict[str, Any], error: str, *, made: bool,
         seconds: float) -> Row:
    total = Account()
    for account in accounts.values():
        total.add(account)
    return {'bag': name, 'part': number, 'frames': total.received, 'with_depth': total.published,
            'made': made, 'seconds': seconds, 'error': error,
            'worker': f'{socket.gethostname()}:{os.getpid()}'}
