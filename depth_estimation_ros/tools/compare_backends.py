# SPDX-License-Identifier: Apache-2.0
"""
The network in torch beside OpenVINO and ONNX Runtime: on the CPU, float32, in one run.

A row is left out where its package is not installed: openvino; onnxruntime with onnx and
onnxscript.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from ..core.backends import Network
from ..core.backends.export import Metres
from ..core.backends.openvino import openvino_backend
from ..core.checkpoint import read_checkpoint
from ..core.families.onnx import load_onnxruntime
from ..core.families.registry import load_family
from ..core.frame import Frame
from ..core.running.planner import Planner
from ..core.running.trial import MAX_DIFFERENCE
from .benchmark import tables
from .benchmark.device import stopwatch
from .benchmark.images import textured
from .benchmark.models import MODELS, NoModelError, checkpoint
from .benchmark.turns import take_turns

COLUMNS = {'model': 'model', 'network_size': 'network', 'batch': 'batch', 'backend': 'backend',
           'version': 'version', 'ms': 'ms', 'spread': '10 to 90 %', 'speedup': 'x torch',
           'max_rel_diff': 'max diff', 'verdict': 'same metres'}

CPU = torch.device('cpu')


def with_openvino(folder: Path, model: nn.Module, pixels: Tensor) -> Network:
    """Build as the estimator does."""
    return openvino_backend(folder).build(model, pixels, Event())


def with_onnx_runtime(folder: Path, model: nn.Module, pixels: Tensor) -> Network:
    """Export a patched model as an ONNX graph of one input shape, and load it."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        program = torch.onnx.export(Metres(model).eval(), (pixels,), dynamo=True, verbose=False,
                                    input_names=['pixels'])
        assert program is not None
        graph = Path(scratch) / 'network.onnx'
        program.save(graph, external_data=True)
        session = onnxruntime.InferenceSession(
            graph, options, providers=['CPUExecutionProvider'])
    return lambda frame: torch.from_numpy(session.run(None, {'pixels': frame.numpy()})[0])


CONTENDERS = {'openvino': (with_openvino, ('openvino',)),
              'onnxruntime': (with_onnx_runtime, ('onnxruntime', 'onnx', 'onnxscript'))}
"""By name, what builds a network, and the packages that it needs."""


def compare(name: str, folder: Path, *, batch: int = 1, repeats: int,
            seconds: float) -> list[dict[str, Any]]:
    """
    Time all backends in turn on a batch of 640x480 images.

    :param name: one of :data:`.benchmark.models.MODELS`, or a checkpoint's folder.
    :param folder: for what is written.
    :param repeats: the most rounds.
    :param seconds: the time to keep to, but for three rounds.
    :return: a row a backend.
    """
    source = checkpoint(name, folder)
    family = load_family(read_checkpoint(str(source)))
    size = family.size(480, 640)
    frames = [Frame(textured(640, 480, seed)) for seed in range(batch)]
    pixels = torch.stack([family.inputs(torch.from_numpy(frame.image), frame)
                          for frame in frames]).contiguous()
    model: Any = family.network
    planner = Planner(model.to(memory_format=torch.channels_last))
    depth = planner(pixels).clone()
    runs: dict[str, Network] = {'torch': planner}
    runs |= {backend: CONTENDERS[backend][0](source, model, pixels.clone())
             for backend in _installed()}
    times, _ = take_turns({backend: partial(stopwatch, partial(run, pixels), CPU)
                           for backend, run in runs.items()}, repeats, seconds)
    return [{'model': name, 'network_size': str(size), 'batch': batch,
             'backend': backend, 'version': version(backend),
             **_figures(times[backend], times['torch']), **_agreement(run(pixels), depth)}
            for backend, run in runs.items()]


def _installed() -> list[str]:
    there = []
    for backend, (_, packages) in CONTENDERS.items():
        missing = [package for package in packages if find_spec(package) is None]
        if missing:
            print(f'{backend} is left out: pip install {" ".join(missing)}')
        else:
            there.append(backend)
    return there


def _figures(times: list[float], torch_times: list[float]) -> dict[str, Any]:
    median = float(np.median(times))
    low, high = np.percentile(times, (10, 90))
    return {'ms': float(f'{median:.4g}'), 'spread': f'{low:.4g} to {high:.4g}',
            'speedup': round(float(np.median(torch_times)) / median, 2), 'calls': len(times)}


def _agreement(depth: Tensor, expected: Tensor) -> dict[str, Any]:
    difference = float(((depth - expected).abs() / expected.abs()).max())
    return {'max_rel_diff': float(f'{difference:.3g}'),
            'verdict': 'yes' if difference <= MAX_DIFFERENCE[torch.float32] else 'no'}


def main(args: list[str] | None = None) -> int:
    """Run from the command line: print a table and write JSON."""
    options = _parser().parse_args(args)
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    rows = []
    for name in options.models.split(','):
        for batch in map(int, options.batches.split(',')):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    rows += compare(name, Path(folder), batch=batch, repeats=options.repeats,
                                    seconds=options.seconds)
                except NoModelError as error:
                    print(f'{name} is left out: {error}')
    tables.print_table(f'The network alone on the CPU, {torch.get_num_threads()} threads, float32',
                       COLUMNS, rows)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / 'backends.json'
    path.write_text(json.dumps(rows, indent=2) + '\n')
    print(f'Written: {path}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='compare_backends', description=__doc__)
    parser.add_argument('--models', default='demo,full',
                        help=f'of {", ".join(MODELS)}, or folders, separated by commas')
    parser.add_argument('--batches', default='1', help='images at once, separated by commas')
    parser.add_argument('--repeats', type=int, default=20, help='the most rounds a model')
    parser.add_argument('--seconds', type=float, default=180.0,
                        help='for the rounds of a model, but for 3')
    parser.add_argument('--threads', type=int, default=0, help="0 is torch's default")
    parser.add_argument('--output', type=Path, default=Path('benchmark_output'))
    return parser


if __name__ == '__main__':
    sys.exit(main())
