# SPDX-License-Identifier: Apache-2.0
"""Many drives at once, a room in each process."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch
from tqdm import tqdm

from training.drive.course import Course
from training.drive.loop import Drive, drive
from training.drive.sources import SOURCES, Source
from training.drive.table import Drives

_READY: dict[str, Source] = {}
"""A process's own sources, each made when its first room comes."""


def drive_all(courses: Sequence[Course], names: Sequence[str],
              processes: int) -> Drives:
    """
    Send sources through every room, each drive by one thread: the same on any number of cores.

    :param names: of sources, in :data:`SOURCES`.
    """
    with ProcessPoolExecutor(processes, get_context('forkserver'), torch.set_num_threads,
                             (1,)) as pool:
        return {name: list(tqdm(pool.map(partial(_drive, name), courses), desc=name,
                                total=len(courses))) for name in names}


def _drive(name: str, course: Course) -> Drive:
    if name not in _READY:
        _READY[name] = SOURCES[name]()
    return drive(course, _READY[name])
