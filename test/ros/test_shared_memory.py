# SPDX-License-Identifier: Apache-2.0
"""A run leaves no shared memory behind, and touches nobody else's."""

import fcntl
import os
import time
from pathlib import Path

from .shared_memory import remove_left


def test_only_what_the_dead_of_this_run_left_is_removed(tmp_path: Path) -> None:
    began = time.time() - 60
    for name in ('dead', 'alive', 'older'):
        for file in (tmp_path / f'fastrtps_{name}', tmp_path / f'fastrtps_{name}_el'):
            file.touch()
    for name in ('fastrtps_older', 'fastrtps_older_el'):
        os.utime(tmp_path / name, (began - 60, began - 60))
    with (tmp_path / 'fastrtps_alive_el').open('r+') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert remove_left(began, tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'fastrtps_alive', 'fastrtps_alive_el', 'fastrtps_older', 'fastrtps_older_el']


def test_a_killed_node_leaves_what_is_removed(start, checkpoint) -> None:
    began = time.time() - 1
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    node.process.kill()
    node.process.wait()
    assert remove_left(began) >= 1
