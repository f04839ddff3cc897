# SPDX-License-Identifier: Apache-2.0
"""A job over many bags: find them, plan them, make their parts, give them their names."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import __version__
from ..offline.added import ProcessOptions
from ..offline.network import NetworkOptions
from ..recordings import RecordingError
from .bags import Bag, find_bags
from .engines import Engine
from .maker import Job, Range, Row, explained
from .state import JobState
from .storage import Storage

RANGES_A_WORKER = 4
"""Ranges of parts that a worker takes one after another: more share the work out more evenly, but
each begins by going past what lies before it in its bag."""

REPORT = 'process_bags.json'


@dataclass
class BagReport:
    """What became of one bag."""

    bag: Bag
    parts: int = 0
    done: int = 0
    """Parts that are finished, or have an error."""
    made: int = 0
    """Parts that this run has made; the others were finished already."""
    seconds: float = 0.0
    """Of work, by all workers together."""
    workers: set[str] = field(default_factory=set)
    """Which have made parts in this run, HOST:PROCESS."""
    is_whole: bool = False
    frames: dict[str, Any] = field(default_factory=dict)
    """The account of each image topic."""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def planned(self, plan: Row) -> None:
        """Take in what reading it once has told."""
        self.parts, self.warnings = int(plan['parts']), [str(text) for text in plan['warnings']]
        if plan.get('error'):
            self.errors.append(plan['error'])

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), 'bag': self.bag.name, 'source': self.bag.source,
                'workers': sorted(self.workers)}


def process_bags(sources: Sequence[str], output: str, options: ProcessOptions,
                 network: NetworkOptions, engine: Engine, *, restart: bool = False,
                 redo: Sequence[str] = (), progress: tqdm) -> list[BagReport]:
    """
    Write a bag with depth for every bag that some paths lead to.

    What is finished of an earlier run is not made again. A bag or a part that cannot be made is
    in the report with its error, and the others are made.

    :param sources: as :func:`.bags.find_bags` takes them.
    :param output: a folder on any filesystem; bags keep their names in it.
    :param restart: whether to make all of them anew, with other options too.
    :param redo: the names of bags to make anew.
    :param progress: the bar to move, a part at a time.
    :raises RecordingError: when there is no bag, or the output was begun with other options.
    """
    storage = Storage(output)
    job = Job(storage.absolute, uuid.uuid4().hex, options, _anywhere(network))
    reports = {bag.name: BagReport(bag) for bag in find_bags(sources, output)}
    if unknown := set(redo) - reports.keys():
        raise RecordingError(f'there is no {", ".join(sorted(unknown))} to make anew; there is '
                             f'{", ".join(reports)}')
    state = JobState(storage)
    state.begin({'version': __version__, **asdict(options), **asdict(job.network)},
                restart=restart)
    try:
        earlier = _reported(storage, restart=restart)
        try:
            for name in reports if restart else redo:
                job.state(reports[name].bag).forget()
            _make(job, engine, reports, progress)
        finally:
            _write(storage, earlier, reports)
    finally:
        state.end()
    return list(reports.values())


def _make(job: Job, engine: Engine, reports: dict[str, BagReport], progress: tqdm) -> None:
    """Plan the bags, make what is not finished of them, and give them their names."""
    _plan(job, engine, reports)
    progress.reset(total=sum(report.parts for report in reports.values()))
    for row in _rows(job, engine, list(reports.values())):
        _note(job, reports[row['bag']], row)
        progress.update()


def _reported(storage: Storage, *, restart: bool) -> Row:
    """Return the rows of earlier calls by bag; raises RecordingError where they are damaged."""
    text = storage.read(REPORT)
    try:
        return {each['bag']: each for each in json.loads(b'[]' if text is None else text)}
    except (ValueError, TypeError, KeyError) as error:
        if restart:
            return {}
        raise RecordingError(f'{storage.url}/{REPORT} is damaged: remove it, whose rows of '
                             'earlier calls are lost, or --restart') from error


def _write(storage: Storage, earlier: Row, reports: dict[str, BagReport]) -> None:
    """Write the report; bags of earlier calls that are not of this one stay in it."""
    found = earlier | {name: report.as_json() for name, report in reports.items()}
    storage.write(REPORT, json.dumps([found[name] for name in sorted(found)], indent=1).encode())


def _anywhere(network: NetworkOptions) -> NetworkOptions:
    """Return options that mean the same in a process that works in another folder."""
    path = Path(network.model)
    return replace(network, model=str(path.absolute())) if path.exists() else network


def _plan(job: Job, engine: Engine, reports: dict[str, BagReport]) -> None:
    """Note of each bag how many parts it has, or why it cannot be read."""
    unplanned = []
    for report in reports.values():
        try:
            plan = job.state(report.bag).plan()
        except RecordingError as error:
            report.errors.append(str(error))
            continue
        if plan is None:
            unplanned.append(report.bag)
        else:
            report.planned(plan)
    for row in engine.plan(job, unplanned) if unplanned else ():
        reports[row['bag']].planned(row)


def _rows(job: Job, engine: Engine, reports: list[BagReport]) -> Iterator[Row]:
    """Yield a row for each part that was made or was finished already."""
    sound = [report for report in reports if not report.errors]
    whole = [report for report in sound if job.state(report.bag).is_whole(report.parts)]
    for report in whole:
        yield from ({'bag': report.bag.name, 'made': False, 'seconds': 0.0, 'error': ''}
                    for _ in range(report.parts))
    wanted = {report.bag: report.parts for report in sound if report not in whole}
    if wanted:
        yield from engine.make(job, ranges(wanted, engine.workers))


def ranges(parts: dict[Bag, int], workers: int) -> list[Range]:
    """
    Return the parts of bags in ranges of about the same length, long where there are many bags.

    :param parts: how many each bag has.
    """
    longest = max(1, ceil(sum(parts.values()) / (workers * RANGES_A_WORKER)))
    return [Range(bag, first, min(first + longest, count)) for bag, count in parts.items()
            for first in range(0, count, longest)]


def _note(job: Job, report: BagReport, row: Row) -> None:
    """Take in a row; the last one of a bag without errors gives it its name."""
    report.seconds += float(row['seconds'])
    report.made += bool(row['made'])
    if row['made']:
        report.workers.add(row['worker'])
    if row['error'] and row['error'] not in report.errors:
        report.errors.append(row['error'])
    report.done += 1
    if report.done == report.parts and not report.errors:
        _publish(job, report)


def _publish(job: Job, report: BagReport) -> None:
    try:
        accounts = job.state(report.bag).publish(report.parts)
    except (RecordingError, OSError) as error:
        report.errors.append(explained(error))
        return
    report.is_whole = True
    report.frames = {topic: account.as_json() for topic, account in accounts.items()}
