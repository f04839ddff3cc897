# SPDX-License-Identifier: Apache-2.0
"""Measure ours beside its rivals: the estimator, the ROS shell, and with --ros the whole node."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from ...core.backends import BACKENDS
from ...core.device import resolve_device
from ...core.errors import DepthError
from ...core.precision import PRECISIONS
from . import tables
from .core import Plan, measure_core
from .models import MODELS

SIZES = '640x480,1280x720,1242x375'
NODE_SIZES = '640x480,1920x1080'


def main(args: list[str] | None = None) -> int:
    """Run from the command line: print tables, write JSON, and draw a plot if asked for."""
    options = _parser().parse_args(args)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    parts = [part for part in PARTS if getattr(options, part)] or _default_parts()
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        for part in parts:
            path = options.output / f'{part}.json'
            path.write_text(json.dumps(PARTS[part](options), indent=2) + '\n')
            print(f'Written: {path}')
    except (DepthError, RuntimeError) as error:
        print(f'benchmark: {error}', file=sys.stderr)
        return 1
    if options.plot:
        from .plot import plot
        plot(options.output, options.plot)
        print(f'Written: {options.plot}')
    return 0


def _default_parts() -> list[str]:
    if find_spec('rclpy') is not None:
        return ['core', 'shell']
    print('rclpy is not installed: the ROS shell is not measured', file=sys.stderr)
    return ['core']


def _core(options: argparse.Namespace) -> list[dict[str, Any]]:
    device = resolve_device(options.device)
    low = 'fp16,fp32' if device.type == 'cuda' else 'fp32'
    precision = low if options.precision == 'auto' else options.precision
    quick = options.quick
    plan = Plan(
        device=device, precisions=precision.split(','),
        models=(options.models or ('tiny' if quick else 'full,demo')).split(','),
        sizes=(options.sizes or ('640x480' if quick else SIZES)).split(','),
        batches=_numbers(options.batches or ('1,2' if quick else None)),
        repeats=options.repeats or (2 if quick else 30), seconds=options.seconds,
        rival_python=options.rival_python, backend=options.backend, compiles=options.compile)
    rows = measure_core(plan, print)
    tables.print_core(rows)
    return rows


def _steps(options: argparse.Namespace) -> list[dict[str, Any]]:
    from .steps import measure_steps
    device = resolve_device(options.device)
    models = options.models or ('tiny' if options.quick else 'full,demo')
    rows = measure_steps(
        models.split(','), (options.sizes or SIZES).split(',')[0], device,
        'fp16' if options.precision == 'auto' else options.precision.split(',')[0],
        repeats=options.repeats or (2 if options.quick else 30), seconds=options.seconds / 6,
        say=print)
    tables.print_table(f'Steps and stages on {device}, milliseconds, medians', tables.STEPS, rows)
    return rows


def _shell(options: argparse.Namespace) -> list[dict[str, Any]]:
    from .shell import measure_shell
    sizes = (options.sizes or NODE_SIZES).split(',')
    rows = measure_shell(sizes, frames=20 if options.quick else 200, rate=20.0)
    tables.print_table("The shell's own cost a frame in milliseconds, medians", tables.SHELL, rows)
    return rows


def _ros(options: argparse.Namespace) -> list[dict[str, Any]]:
    from .nodes import measure_nodes
    quick = options.quick
    model = (options.models or ('tiny' if quick else 'demo')).split(',')[0]
    rows = measure_nodes(
        model, (options.sizes or ('640x480' if quick else NODE_SIZES)).split(','),
        _numbers('10' if quick else '10,30,60') or [], device=options.device,
        backend=options.backend, seconds=2.0 if quick else 8.0)
    tables.print_table('From the capture stamp to reception, milliseconds', tables.NODES, rows)
    return rows


def _costs(options: argparse.Namespace) -> list[dict[str, Any]]:
    from .published import costs
    rows = costs()
    tables.print_table('What an image of 640x480 costs each network', tables.COSTS, rows)
    return rows


def _bytes(options: argparse.Namespace) -> list[dict[str, Any]]:
    from .bandwidth import RATE, measure_bandwidth
    sizes = (options.sizes or NODE_SIZES).split(',')
    rows = measure_bandwidth(sizes)
    tables.print_table(f'Bytes of a message, and MB a second at {RATE:g} Hz',
                       tables.bandwidth(sizes), rows)
    return rows


PARTS = {'costs': _costs, 'bytes': _bytes, 'core': _core, 'steps': _steps, 'shell': _shell,
         'ros': _ros}


def _numbers(text: str | None) -> list[int] | None:
    return [int(number) for number in text.split(',')] if text else None


def _rival_python() -> Path:
    beside = Path(sys.prefix).with_name('.venv-rival') / 'bin' / 'python'
    return beside if beside.exists() else Path(sys.executable)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='benchmark', description=f'{__doc__} Lists are separated by commas.')
    parser.add_argument('--costs', action='store_true', help='parameters and operations of the '
                        'published networks, reckoned (costs.json)')
    parser.add_argument('--bytes', action='store_true', help='bytes of each output a message and '
                        'a second (bytes.json)')
    parser.add_argument('--core', action='store_true', help='the estimator (core.json)')
    parser.add_argument('--steps', action='store_true', help='what each step of the fast path '
                        'gains (steps.json)')
    parser.add_argument('--shell', action='store_true', help='the ROS shell (shell.json)')
    parser.add_argument('--ros', action='store_true', help='the node beside a naive one '
                        '(ros.json); without any of these: core and shell')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--precision', default='auto', help=f'of {", ".join(PRECISIONS)}; auto is '
                        'fp16,fp32 on CUDA and fp32 on the CPU')
    parser.add_argument('--models', help=f'of {", ".join(MODELS)}, or folders')
    parser.add_argument('--sizes', help=f'of the image (default {SIZES}; with ROS {NODE_SIZES})')
    parser.add_argument('--batches', help='(default 1,2,4,8; of the full-size model on the CPU 1, '
                        'and 2 at the first size); 2 is an image and its mirror image')
    parser.add_argument('--repeats', type=int, help='the most rounds a row (default 30)')
    parser.add_argument('--seconds', type=float, default=720.0, help='for the core, but for 3 '
                        'rounds a row (default 720)')
    parser.add_argument('--backend', default='auto', help=f'of ours, of {", ".join(BACKENDS)}')
    parser.add_argument('--compile', action='store_true', help='ours builds with torch.compile '
                        'too, and uses it where it is faster')
    parser.add_argument('--quick', action='store_true', help='a tiny model and few rounds')
    parser.add_argument('--rival-python', type=Path, default=_rival_python(), help='the Python '
                        "for transformers' pipeline (default .venv-rival beside .venv, else this)")
    parser.add_argument('--output', type=Path, default=Path('benchmark_output'))
    parser.add_argument('--plot', type=Path, help='draw what the output folder holds as a PNG')
    return parser


if __name__ == '__main__':
    sys.exit(main())
