# SPDX-License-Identifier: Apache-2.0
"""The command for a GPU: without one it says so; its steps run on the CPU as far as they can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.tools.gpu import __main__ as gpu
from depth_estimation_ros.tools.gpu import correctness, memory, stress
from depth_estimation_ros.tools.gpu.report import print_report
from depth_estimation_ros.tools.gpu.steps import STEPS, Step

CPU = torch.device('cpu')


def test_without_a_gpu_it_says_so_and_ends_well(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for arguments in ([], ['--device', 'cuda:0']):
        assert gpu.main(arguments) == 0
        assert capsys.readouterr().out.startswith('gpu: ')


def test_it_needs_neither_ros_nor_what_tables_need() -> None:
    script = ('import sys\n'
              'for name in ("rclpy", "rich", "matplotlib"):\n'
              '    sys.modules[name] = None\n'
              'from depth_estimation_ros.tools.gpu.__main__ import main\n'
              'sys.exit(main(["--device", "cuda:0"]))')
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                          env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''}, check=False)
    assert done.returncode == 0, done.stderr


def test_the_steps_fit_the_time_that_they_have_together() -> None:
    assert sum(step.seconds for step in STEPS.values()) <= 1.5 * gpu.SECONDS
    assert gpu.SECONDS <= 480


def test_a_report_is_written_and_a_failing_step_is_told(
        checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = gpu.main(['--device', 'cpu', '--quick', '--model', str(checkpoint), '--output',
                     str(tmp_path), '--steps', 'memory'])
    report = json.loads((tmp_path / 'report.json').read_text())
    assert code == 0, report
    assert report['steps']['memory']['passed'] and report['torch'] == torch.__version__
    assert report['steps']['memory']['reason'] == 'needs a GPU'
    printed = capsys.readouterr().out
    assert 'memory' in printed and 'passed' in printed and 'needs a GPU' in printed


@pytest.mark.parametrize(('seconds', 'script', 'reason'), [
    (60.0, 'import os; os._exit(134)', 'ended with code 134: it said nothing'),
    (60.0, 'raise SystemExit("boom")', 'ended with code 1: boom'),
    (0.2, 'import time; time.sleep(60)', 'not done after 0 s')])
def test_a_step_that_dies_or_hangs_harms_no_other(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, script: str,
        reason: str) -> None:
    run = subprocess.run
    monkeypatch.setattr(subprocess, 'run', lambda command, **kwargs: run(
        [sys.executable, '-c', script], **kwargs))
    monkeypatch.setitem(STEPS, 'close', Step(lambda *_: {}, seconds))
    options = gpu._parser().parse_args(['--quick'])
    found = gpu._run_apart('close', options, CPU, tmp_path, 100.0)
    assert (found['passed'], found['reason']) == (False, reason)
    assert gpu._run_apart('close', options, CPU, tmp_path, 0.0)['reason'].startswith('left out')


def test_metres_are_right_and_wrong_ones_are_found(
        checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correctness, 'PRECISIONS', {'fp32': torch.float32})
    monkeypatch.setitem(correctness.WORST, 'fp32', 1e-3)
    found = correctness.correctness(checkpoint, CPU, True)
    assert found['passed'] and found['rows'][0]['worst'] < 1e-3, found
    estimate = DepthEstimator.estimate
    monkeypatch.setattr(DepthEstimator, 'estimate', lambda self, images, **kwargs: [
        1.01 * depth for depth in estimate(self, images, **kwargs)])
    assert not correctness.correctness(checkpoint, CPU, True)['passed']


@pytest.mark.slow
def test_rebuilds_under_traffic_give_the_memory_back(checkpoint: Path) -> None:
    found = stress.rebuilds(checkpoint, CPU, True)
    assert found['passed'] and found['rebuilds'] == 8 and found['frames'] >= 16, found


@pytest.mark.slow
def test_rebuilds_that_leak_or_give_wrong_depth_are_found(
        checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = iter([100, 102])
    monkeypatch.setattr(memory.Account, 'held', lambda self: next(held))
    estimate, count = DepthEstimator.estimate, iter(range(10**6))
    monkeypatch.setattr(DepthEstimator, 'estimate', lambda self, images, **kwargs: [
        depth * (2 if next(count) % 7 == 6 else 1) for depth in estimate(self, images, **kwargs)])
    found = stress.rebuilds(checkpoint, CPU, True)
    assert found['wrong'] > 0 and found['growth'] == 0.02 and not found['passed']


def test_what_is_held_after_close_does_not_grow(
        checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.close(checkpoint, CPU, True)['passed']
    monkeypatch.setattr(DepthEstimator, 'close', lambda self: kept.append(self))
    kept: list[DepthEstimator] = []
    found = memory.close(checkpoint, CPU, True)
    assert not found['passed'] and found['growth_mb'] > 1


def test_collections_beside_captures(checkpoint: Path) -> None:
    found = stress.collection(checkpoint, CPU, True)
    assert found['passed'] and found['collections'] > 0


def test_a_report_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    print_report({'model': 'full', 'device': 'a GPU', 'torch': '2', 'transformers': '5', 'steps': {
        'one': {'passed': False, 'reason': 'ended with code 134', 'seconds': 1.0},
        'two': {'passed': True, 'rows': [{'image': '640x480', 'ms': 6.912345, 'none': None}]}}})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ['one', 'FAILED', 'reason', 'ended', 'with', 'code', '134,',
                                'seconds', '1.0']
    assert lines[-1].split() == ['640x480', '6.912', '-']
