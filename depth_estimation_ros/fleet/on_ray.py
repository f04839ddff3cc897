# SPDX-License-Identifier: Apache-2.0
"""The actors of a Ray cluster, fed by Ray Data, which replaces those that are lost."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.errors import DeviceLostError
from ..recordings import RecordingError
from .bags import Bag
from .engines import MISSING, RayOptions
from .maker import Job, PartMaker, Range, Row, plan_bag

os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # nobody is told of what runs here
os.environ.setdefault('RAY_BACKEND_LOG_LEVEL', 'fatal')  # what is wrong comes as an exception

try:
    import ray
    import ray.data
except ImportError as error:
    raise RecordingError(f'{MISSING}: {error}') from error

LOGGER = logging.getLogger(__name__)

MOST = 256
"""Workers at most, where nobody says how many."""


WAITING = 2
"""Ranges that an actor is given at once. With one the pool never grows: by Ray's own rule that is
where more than 1.75 wait for each actor (AutoscalingConfig)."""

PATIENCE = 5.0
"""Seconds for a cluster to answer."""


class OnRay:
    """An engine whose workers each have a network of their own."""

    def __init__(self, options: RayOptions, device: str) -> None:
        """
        Connect to a cluster, or start one inside.

        :param device: of the networks; 'cpu' leaves GPUs to others.
        :raises RecordingError: when there is no such cluster.
        """
        _connect(options.address)
        machines = [machine['Resources'] for machine in ray.nodes() if machine['Alive']]
        cpus = [int(machine['CPU']) for machine in machines if machine.get('CPU')] or [1]
        gpus = sum(machine.get('GPU', 0.0) for machine in machines)
        wanted = device.startswith('cuda') or (device == 'auto' and gpus > 0)
        if wanted and not gpus:
            LOGGER.warning('no machine of the cluster has a GPU: waiting for one')
        self._most = options.workers or MOST
        self._gpus = options.gpus if wanted else 0.0
        self._cpus = options.cpus or (1 if wanted else _share(cpus, options.workers))
        _check_room(machines, self._cpus, self._gpus)
        room = gpus / self._gpus if self._gpus else sum(each // self._cpus for each in cpus)
        self.workers = max(1, min(int(room), self._most))

    def plan(self, job: Job, bags: Iterable[Bag]) -> Iterator[Row]:
        """Read the bags by tasks, each on one CPU of any machine."""
        rows = [{'bag': bag.as_json()} for bag in bags]
        planned = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _plan, fn_kwargs={'job': job}, num_cpus=1)
        yield from _rows(planned)

    def make(self, job: Job, ranges: Iterable[Range]) -> Iterator[Row]:
        """Make the ranges by actors; what one that is lost had begun is made by another."""
        rows = [{'bag': each.bag.as_json(), 'first': each.first, 'end': each.end}
                for each in ranges]
        actors = ray.data.ActorPoolStrategy(
            min_size=1, max_size=self._most, initial_size=min(self.workers, len(rows)),
            max_tasks_in_flight_per_actor=WAITING)
        made = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            RangeMaker, fn_constructor_kwargs={'job': job}, batch_size=1, compute=actors,
            num_cpus=self._cpus, num_gpus=self._gpus or None)
        yield from _rows(made)

    def close(self) -> None:
        """Disconnect; a cluster that was started inside ends with it."""
        ray.shutdown()


class RangeMaker:
    """A :class:`.maker.PartMaker` as Ray Data calls it: tables of columns in and out."""

    def __init__(self, job: Job) -> None:
        """Keep the job; the network is loaded when the first range comes."""
        self._maker = PartMaker(job)

    def __call__(self, table: dict[str, Any]) -> dict[str, list[Any]]:
        """Make the ranges of a table; ends the process, for another one, when its GPU is lost."""
        try:
            rows = [row for bag, first, end in zip(
                table['bag'], table['first'], table['end'], strict=True)
                for row in self._maker.make(Range(Bag.from_json(str(bag)), int(first), int(end)))]
        except DeviceLostError:
            os._exit(1)
        return {key: [row[key] for row in rows] for key in rows[0]}

    def __del__(self) -> None:
        """Remove the copies of bags; Ray Data deletes this when its actor's work is done."""
        self._maker.close()


def _rows(table: Any) -> Iterator[Row]:
    """Yield a table's rows; raises RecordingError where Ray gives up."""
    try:
        yield from map(dict, table.iter_rows())
    except Exception as error:  # of many kinds, also what a machine without a package raises
        raise RecordingError(f'Ray gives up: {" ".join(str(error).split())[-500:]}') from error


def _plan(row: Row, job: Job) -> Row:
    return plan_bag(job, Bag.from_json(row['bag']))


def _check_room(machines: list[dict[str, float]], cpus: int, gpus: float) -> None:
    """Raise RecordingError where machines have too little of what a worker asks."""
    for name, asked in (('CPU', cpus), ('GPU', gpus)):
        most = max((machine.get(name, 0.0) for machine in machines), default=0.0)
        if asked > most > 0:  # with none at all it is waited for a machine that has some
            raise RecordingError(f'a worker asks for {asked:g} {name}s, and no machine of the '
                                 f'cluster has more than {most:g}')


def _connect(address: str) -> None:
    """Connect to a cluster, '' for one of this machine; raises RecordingError where none is."""
    if address not in ('', 'auto'):
        _check_answers(address)
    quiet = {'log_to_driver': False, 'logging_level': logging.ERROR}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(address='local', include_dashboard=False, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RecordingError(f'no Ray cluster at {address or "this machine"}: '
                             f'{" ".join(str(error).split())}') from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    for name in ('ray', 'ray.data'):
        logging.getLogger(name).setLevel(logging.ERROR)


def _check_answers(address: str) -> None:
    """Raise RecordingError where nothing answers; Ray itself asks for ten minutes."""
    host, _, port = address.rpartition(':')
    if not (host and port.isdecimal()):
        raise RecordingError(f"'{address}' is no address of a Ray cluster: auto or HOST:PORT, as "
                             'ray start --head prints it')
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise RecordingError(f'no Ray cluster answers at {address}: {error}') from error


def _share(cpus: list[int], workers: int) -> int:
    """Return the CPUs of each of some workers, no more than the smallest machine has."""
    return max(1, min([*cpus, sum(cpus) // (workers or len(cpus))]))
