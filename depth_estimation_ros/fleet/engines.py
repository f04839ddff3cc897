# SPDX-License-Identifier: Apache-2.0
"""Who does the work: this process, or the actors of a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Protocol

from ..offline.network import gpus_here
from ..recordings import RecordingError
from .bags import Bag
from .maker import Job, PartMaker, Range, Row, plan_bag

LOGGER = logging.getLogger(__name__)

MISSING = "Ray is not installed (pip install 'ray[data]')"


class Engine(Protocol):
    """Does what is asked in any order, and survives what it can."""

    @property
    def workers(self) -> int:
        """How many work at once, by what is there now."""

    def plan(self, job: Job, bags: Iterable[Bag]) -> Iterator[Row]:
        """Yield what :func:`.maker.plan_bag` gives of each bag."""

    def make(self, job: Job, ranges: Iterable[Range]) -> Iterator[Row]:
        """Yield a row for each part of some ranges, as :class:`.maker.PartMaker` does."""

    def close(self) -> None:
        """Release the workers."""


class Here:
    """This process, one part after another."""

    workers = 1

    def plan(self, job: Job, bags: Iterable[Bag]) -> Iterator[Row]:
        """Read the bags one by one."""
        return (plan_bag(job, bag) for bag in bags)

    def make(self, job: Job, ranges: Iterable[Range]) -> Iterator[Row]:
        """Make the ranges one by one."""
        with closing(PartMaker(job)) as maker:
            for each in ranges:
                yield from maker.make(each)

    def close(self) -> None:
        """Have nothing to release."""


@dataclass(frozen=True)
class RayOptions:
    """Which cluster, and what of it a worker takes."""

    address: str = ''
    """HOST:PORT or auto; '' is this machine alone."""
    workers: int = 0
    """
    At most. 0 takes as many as a cluster has room for, also on machines that come later; without
    a cluster one for each GPU.
    """
    cpus: int = 0
    """Of each worker; 0 is its share of them, at most a machine's, and 1 beside a GPU."""
    gpus: float = 1.0
    """Of each worker, where there are any; half of one lets two share it."""


def choose_engine(options: RayOptions, device: str) -> Engine:
    """
    Return Ray where there is a cluster or more than one worker to have, else this process.

    :param device: of the network.
    :raises RecordingError: when a cluster is named and Ray is not installed, it is not there, or
        the device is one GPU of one machine.
    """
    workers = options.workers or gpus_here(device) or 1
    if ':' in device and (options.address or workers > 1):
        raise RecordingError(f'--device {device} names one GPU: with several workers say cuda, '
                             'and Ray shares the GPUs out')
    if not options.address:
        if workers == 1:
            return Here()
        if find_spec('ray') is None:
            LOGGER.warning('%s: one worker instead of %d', MISSING, workers)
            return Here()
        options = replace(options, workers=workers)
    from .on_ray import OnRay
    return OnRay(options, device)
