# SPDX-License-Identifier: Apache-2.0
"""A folder of bags, and the job over them as a function."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from depth_estimation_ros.fleet.engines import Here
from depth_estimation_ros.fleet.run import BagReport, process_bags
from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.network import NetworkOptions
from depth_estimation_ros.offline.process import process_bag

from ..offline.conftest import frames
from ..recordings.bags import write_ros1, write_rosbag2

PART = 0.1
"""Seconds: three images."""


def content(folder: Path) -> dict[str, bytes]:
    """Return the files that a user sees below a folder, but for the report."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(
        folder.rglob('*')) if path.is_file() and path.parent != folder and not any(
            part.startswith('.') for part in path.relative_to(folder).parts)}


@pytest.fixture(scope='session')
def network(checkpoint: Path) -> NetworkOptions:
    return NetworkOptions(model=str(checkpoint), device='cpu', backend='torch')


@pytest.fixture(scope='session')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rosbag2 directories and a ROS 1 bag: 3, 2 and 1 parts."""
    folder = tmp_path_factory.mktemp('drives')
    (folder / 'monday').mkdir(parents=True)
    write_rosbag2(folder / 'a', frames(7))
    write_rosbag2(folder / 'monday' / 'b', frames(5, seed=1))
    write_ros1(folder / 'monday' / 'c.bag', frames(2, seed=2))
    return folder


@pytest.fixture
def drives(tmp_path: Path, recorded: Path) -> Path:
    """A copy of them."""
    return shutil.copytree(recorded, tmp_path / 'drives')


@pytest.fixture
def run(network: NetworkOptions) -> Callable[..., dict[str, BagReport]]:
    """Run the job; returns what became of each bag by its name."""
    def run(sources: Any, output: Any, engine: Any = None, restart: bool = False,
            redo: Any = (), **options: Any) -> dict[str, BagReport]:
        reports = process_bags([str(sources)], str(output), ProcessOptions(
            **{'part': PART, **options}), network, engine or Here(), restart=restart,
            redo=redo, progress=tqdm(disable=True))
        return {report.bag.name: report for report in reports}
    return run


@pytest.fixture(scope='session')
def expected(tmp_path_factory: pytest.TempPathFactory, recorded: Path,
             network: NetworkOptions) -> dict[str, bytes]:
    """What process_bag makes of each bag."""
    folder = tmp_path_factory.mktemp('expected')
    for source, name in (('a', 'a'), ('monday/b', 'monday/b'), ('monday/c.bag', 'monday/c')):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        process_bag(str(recorded / source), folder / name, ProcessOptions(part=PART), network,
                    progress=tqdm(disable=True))
    return content(folder)
