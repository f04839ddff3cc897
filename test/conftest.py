# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of this run's own, on this machine only, before anything imports rclpy."""

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parents[1]

DOMAINS = 101
"""ROS domains whose ports are none that Linux hands out by itself."""


def free_domain() -> tuple[int, IO[str]]:
    """Return a domain that no other run on this machine has, and what keeps it."""
    for number in range(DOMAINS):
        domain = 1 + (os.getpid() + number) % DOMAINS
        path = Path(tempfile.gettempdir()) / f'depth_estimation_ros_domain_{domain}'
        try:
            held = path.open('w')
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another run's, or another user's file
            continue
        return domain, held
    raise RuntimeError(f'all {DOMAINS} ROS domains are taken: is anything left of other runs?')


BEGAN = time.time()
DOMAIN, HELD = free_domain()
os.environ['ROS_DOMAIN_ID'] = str(DOMAIN)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
for variable in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
    os.environ[variable] = str(ROOT / 'config' / 'fastdds.xml')
os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')  # threads that wait leave the cores to others


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the shared memory that killed nodes left, once all processes have ended."""
    from .ros.shared_memory import remove_left
    if not hasattr(session.config, 'workerinput'):
        remove_left(BEGAN)


@pytest.fixture(scope='session')
def root() -> Path:
    """The source tree."""
    return ROOT


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-head ZoeDepth with seeded weights that runs in milliseconds at 128x96."""
    from depth_estimation_ros.tools.architectures import (
        save_checkpoint,
        seeded_model,
        tiny_config,
    )
    return save_checkpoint(
        seeded_model(tiny_config()), tmp_path_factory.mktemp('checkpoint'), 96, 128)
