# SPDX-License-Identifier: Apache-2.0
"""Fast DDS's shared memory: what killed processes leave of it, until somebody removes it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

SHARED = Path('/dev/shm')


def remove_left(since: float, folder: Path = SHARED) -> int:
    """
    Remove the segments of processes that ended without doing so; return how many.

    Each has a file beside it that its owner holds locked as long as it lives, which is what
    `fastdds shm clean` goes by.

    :param since: seconds of the system's clock; what is older is another run's.
    """
    removed = 0
    for lock in folder.glob('fast*_el'):
        try:
            with lock.open('r+') as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(held.fileno()).st_mtime >= since:
                    lock.with_name(lock.name.removesuffix('_el')).unlink(missing_ok=True)
                    lock.unlink()
                    removed += 1
        except OSError:  # alive, or another user's
            continue
    return removed
