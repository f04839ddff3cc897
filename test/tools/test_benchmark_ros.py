# SPDX-License-Identifier: Apache-2.0
"""The shell and the nodes are measured over real ROS processes; figures are not asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from depth_estimation_ros.tools.benchmark.nodes import summary


def benchmark(part: str, folder: Path) -> Any:
    subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.tools.benchmark', f'--{part}', '--quick',
         '--device', 'cpu', '--backend', 'torch', '--sizes', '96x72',
         '--output', str(folder)],
        check=True, timeout=180, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    return json.loads((folder / f'{part}.json').read_text())


@pytest.mark.slow
def test_the_shell_is_measured(tmp_path: Path) -> None:
    (row,) = benchmark('shell', tmp_path)
    assert row['size'] == '96x72'
    assert row['frames'] > 0
    assert row['shell_ms'] > 0


@pytest.mark.slow
def test_both_nodes_are_measured(tmp_path: Path) -> None:
    rows = benchmark('ros', tmp_path)
    assert [row['node'] for row in rows] == ['ours', 'naive']
    for row in rows:
        assert row['sent'] == row['received'] + row['drops']
        assert row['received'] > 0
        assert row['latency_p50_ms'] > 0
        assert row['cpu_s'] > 0


def test_a_summary_counts_what_was_lost() -> None:
    sent = [number * 100_000_000 for number in range(10)]
    received = {stamp: stamp + 20_000_000 for stamp in sent[::2]}
    assert summary(sent, received) == {
        'sent': 10, 'received': 5, 'drops': 5, 'fps': 5.0, 'latency_p50_ms': 20.0,
        'latency_p99_ms': 20.0, 'jitter_ms': 0.0}


def test_a_summary_of_silence_has_no_figures() -> None:
    figures = summary([0, 100_000_000], {})
    assert figures['drops'] == 2
    assert figures['latency_p50_ms'] is None
