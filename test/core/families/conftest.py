# SPDX-License-Identifier: Apache-2.0
"""Seeded checkpoints of every family, written once."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from depth_estimation_ros.core.checkpoint import Checkpoint
from depth_estimation_ros.tools.seeded import ARCHITECTURES, write_checkpoint


def read(folder: Path) -> Checkpoint:
    return Checkpoint(folder.name, folder, *(
        json.loads((folder / name).read_text())
        for name in ('config.json', 'preprocessor_config.json')))


@pytest.fixture(scope='session')
def seeded_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    """Return the checkpoint of an architecture by its name."""
    @lru_cache
    def write(name: str) -> Checkpoint:
        return read(write_checkpoint(ARCHITECTURES[name], tmp_path_factory.mktemp(name)))
    return write
