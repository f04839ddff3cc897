"""A ROS domain of this run's own, on this machine only, before anything imports rclpy."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

WORKER = os.environ.get('PYTEST_XDIST_WORKER')
RUN = 2 * os.getppid() + int(WORKER[2:]) if WORKER else os.getpid()

os.environ['ROS_DOMAIN_ID'] = str(1 + RUN % 100)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
for variable in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
    os.environ[variable] = str(ROOT / 'config' / 'fastdds.xml')
os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'


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
