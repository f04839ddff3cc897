# SPDX-License-Identifier: Apache-2.0
"""Try everything that only a GPU can show, step by step, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from ...core.device import resolve_device
from ...core.device_errors import first_line
from ...core.errors import DepthError
from ..benchmark.models import MODELS, NoModelError, checkpoint
from .report import print_report
from .steps import STEPS

SECONDS = 480.0
"""For all steps together; those that it does not reach are left out, and named."""


def main(args: list[str] | None = None) -> int:
    """Run from the command line; 1 when a step fails, 0 also where there is no GPU."""
    options = _parser().parse_args(args)
    try:
        device = resolve_device(options.device)
    except DepthError as error:
        print(f'gpu: {error}')
        return 1 if torch.cuda.is_available() else 0
    if options.step:
        return _run_here(options, device)
    return _run_all(options, device)


def _run_here(options: argparse.Namespace, device: torch.device) -> int:
    """Run one step in this process; write what it found."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    found = STEPS[options.step].run(options.folder, device, options.quick)
    options.result.write_text(json.dumps(found))
    return 0


def _run_all(options: argparse.Namespace, device: torch.device) -> int:
    started = time.monotonic()
    report: dict[str, Any] = {
        'device': _name(device), 'torch': torch.__version__, 'model': options.model,
        'transformers': transformers.__version__, 'steps': {}}
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = checkpoint(options.model, Path(scratch))
        except NoModelError as error:
            print(f'gpu: {error}', file=sys.stderr)
            return 1
        for name in options.steps.split(','):
            left = options.seconds - (time.monotonic() - started)
            report['steps'][name] = _run_apart(name, options, device, folder, left)
            (options.output / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    report['seconds'] = round(time.monotonic() - started, 1)
    path = options.output / 'report.json'
    path.write_text(json.dumps(report, indent=2) + '\n')
    print_report(report)
    print(f'Written: {path}')
    return 0 if all(step['passed'] for step in report['steps'].values()) else 1


def _run_apart(name: str, options: argparse.Namespace, device: torch.device, folder: Path,
               left: float) -> dict[str, Any]:
    """Run one step in a process of its own, which may crash or hang as it likes."""
    limit = min(STEPS[name].seconds, left)
    if limit <= 0:
        return {'passed': False, 'reason': 'left out: the time is spent (--seconds)'}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / 'result.json'
        command = [sys.executable, '-m', __package__, '--step', name, '--device', str(device),
                   '--folder', str(folder), '--result', str(result),
                   *(['--quick'] if options.quick else [])]
        try:
            done = subprocess.run(command, timeout=limit, capture_output=True, text=True,
                                  check=False)
        except subprocess.TimeoutExpired:
            return {'passed': False, 'reason': f'not done after {limit:.0f} s'}
        found: dict[str, Any] = (json.loads(result.read_text()) if result.exists()
                                 else {'passed': False, 'reason': _end(done)})
    return {**found, 'seconds': round(time.monotonic() - started, 1)}


def _end(done: subprocess.CompletedProcess[str]) -> str:
    words = (done.stderr.strip() or done.stdout.strip() or 'it said nothing').splitlines()[-1]
    return f'ended with code {done.returncode}: {first_line(RuntimeError(words))}'


def _name(device: torch.device) -> str:
    if device.type != 'cuda':
        return str(device)
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30
    return f'{torch.cuda.get_device_name(device)}, {memory:.0f} GiB'


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='gpu', description=__doc__)
    parser.add_argument('--device', default='cuda', help='cuda, cuda:N, or cpu for those steps '
                        'that need no GPU')
    parser.add_argument('--model', default='full', help=f'of {", ".join(MODELS)}, or a folder')
    parser.add_argument('--steps', default=','.join(STEPS), help=f'of {", ".join(STEPS)}')
    parser.add_argument('--seconds', type=float, default=SECONDS, help='for all of them')
    parser.add_argument('--quick', action='store_true', help='few rounds and small sizes')
    parser.add_argument('--output', type=Path, default=Path('gpu_output'))
    parser.add_argument('--step', choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--result', type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == '__main__':
    sys.exit(main())
