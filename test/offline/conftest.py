# SPDX-License-Identifier: Apache-2.0
"""A bag, a network of milliseconds, and the commands as functions of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from tqdm import tqdm

from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.estimate import EstimateOptions, estimate
from depth_estimation_ros.offline.network import NetworkOptions
from depth_estimation_ros.offline.process import process_bag

from ..recordings.bags import PERIOD, START, TYPES, Said, image, info, write_rosbag2

SHAPE = (96, 128, 3)


def frames(count: int, topic: str = '/cam/image_raw', frame: str = 'optical',
           seed: int = 0) -> list[Said]:
    """Images that the network takes, each with its calibration and a topic beside them."""
    rng = np.random.default_rng(seed)
    below = topic.rpartition('/')[0]
    said = []
    for number in range(count):
        time = START + number * PERIOD
        said += [image(rng.integers(0, 256, SHAPE, np.uint8), 'bgr8', time, frame, topic),
                 info(time, frame, f'{below}/camera_info'),
                 Said(f'{below}/words', 'std_msgs/msg/String', time + 6_000_000,
                      TYPES.types['std_msgs/msg/String'](f'hello {number}'))]
    return said


@pytest.fixture
def bag(tmp_path: Path) -> Callable[..., Path]:
    def write(said: list[Said], name: str = 'in',
              storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
        return write_rosbag2(tmp_path / name, said, storage)
    return write


@pytest.fixture
def network(checkpoint: Path) -> NetworkOptions:
    return NetworkOptions(model=str(checkpoint), device='cpu', backend='torch')


@pytest.fixture
def process(network: NetworkOptions) -> Callable[..., Any]:
    def run(source: Path, output: Path, restart: bool = False, **options: Any) -> Any:
        return process_bag(str(source), output, ProcessOptions(**options), network,
                           restart=restart, progress=tqdm(disable=True))
    return run


@pytest.fixture
def estimated(network: NetworkOptions) -> Callable[..., Any]:
    def run(source: Path | list[Path], output: Path, **options: Any) -> Any:
        sources = source if isinstance(source, list) else [source]
        return estimate([str(path) for path in sources], output, EstimateOptions(**options),
                        network, progress=tqdm(disable=True))
    return run
