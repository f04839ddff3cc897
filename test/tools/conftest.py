# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves, once for each module that looks at it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FRAMES, RATE = 30, 4.0


@pytest.fixture(scope='module')
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo left of the first frames of its drive."""
    folder = tmp_path_factory.mktemp('demo') / 'output'
    ran = subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.tools.demo', '--frames', str(FRAMES),
         '--rate', str(RATE), '--output', str(folder)],
        capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    return folder
