"""
The network in torch beside ONNX Runtime and OpenVINO on its exported graph: CPU, float32, one run.

None of the packages that this needs beside torch are the depth path's own: pip install onnx
onnxscript onnxruntime openvino.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers.utils import logging as transformers_logging

from ..core.checkpoint import load_checkpoint
from ..core.patches import patch
from ..core.plan import Planner
from ..core.transforms import to_network
from .benchmark import tables
from .benchmark.device import stopwatch
from .benchmark.images import textured
from .benchmark.models import MODELS, NoModelError, checkpoint
from .benchmark.turns import take_turns

MAX_DIFFERENCE = 1e-3
"""Relative, above which a backend does not give the same metres."""

EXPORTER = ('onnx', 'onnxscript')
"""What torch needs to write an ONNX graph."""

COLUMNS = {'model': 'model', 'network_size': 'network', 'backend': 'backend',
           'version': 'version', 'ms': 'ms', 'spread': '10 to 90 %', 'speedup': 'x torch',
           'max_rel_diff': 'max diff', 'verdict': 'same metres'}

Run = Callable[[], NDArray[np.float32]]


class Network(nn.Module):
    """A patched model with one input and one output, as an exported graph has."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return metres, N×h×w, for normalised pixels, N×3×h×w."""
        depth: torch.Tensor = self.model(pixels).predicted_depth
        return depth


def onnx_runtime(graph: Path, pixels: NDArray[np.float32]) -> Run:
    """Load a graph into ONNX Runtime."""
    import onnxruntime  # type: ignore[import-not-found]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(graph, options, providers=['CPUExecutionProvider'])
    return lambda: np.asarray(session.run(None, {'pixels': pixels})[0])


def openvino(graph: Path, pixels: NDArray[np.float32]) -> Run:
    """Load a graph into OpenVINO; on the CPU it would take bf16 where it can, were it not told."""
    import openvino as ov  # type: ignore[import-not-found]
    compiled = ov.compile_model(graph, 'CPU', {
        'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': torch.get_num_threads()})
    return lambda: np.array(compiled(pixels)[0])


BACKENDS = {'onnxruntime': onnx_runtime, 'openvino': openvino}


def compare(name: str, folder: Path, *, repeats: int, seconds: float) -> list[dict[str, Any]]:
    """
    Export a model and time all backends in turn on one image.

    :param name: one of :data:`.benchmark.models.MODELS`, or a checkpoint's folder.
    :param folder: for what is exported.
    :param repeats: the most rounds.
    :param seconds: the time to keep to, but for three rounds.
    :return: a row a backend.
    """
    loaded = load_checkpoint(str(checkpoint(name, folder)))
    image = textured(640, 480)
    size = loaded.preprocessing.network_size(*image.shape[:2])
    pixels = to_network(torch.from_numpy(image), size, loaded.preprocessing)[None].contiguous()
    model: Any = patch(loaded.model)
    planner = Planner(model.to(memory_format=torch.channels_last))
    depth = planner(pixels).numpy().copy()
    graph = export(planner.model, pixels, folder / 'network.onnx')
    runs: dict[str, Run] = {'torch': lambda: np.asarray(planner(pixels).numpy())}
    runs |= {backend: BACKENDS[backend](graph, pixels.numpy()) for backend in _installed()}
    times, _ = take_turns({backend: partial(stopwatch, run, torch.device('cpu'))
                           for backend, run in runs.items()}, repeats, seconds)
    return [{'model': name, 'network_size': f'{size[1]}x{size[0]}', 'backend': backend,
             'version': version(backend), **_figures(times[backend], times['torch']),
             **_agreement(run(), depth)} for backend, run in runs.items()]


def export(model: nn.Module, pixels: torch.Tensor, path: Path) -> Path:
    """
    Write a patched model as an ONNX graph of one network size, and return its file.

    :param model: with the position codes of that size recorded.
    :param pixels: the network's input.
    """
    with torch.no_grad():
        program = torch.onnx.export(
            Network(model).eval(), (pixels,), dynamo=True, input_names=['pixels'],
            output_names=['depth'], verbose=False)
    assert program is not None
    program.save(path, external_data=True)
    return path


def _installed() -> list[str]:
    for backend in BACKENDS:
        if find_spec(backend) is None:
            print(f'{backend} is left out: it is not installed (pip install {backend})')
    return [backend for backend in BACKENDS if find_spec(backend) is not None]


def _figures(times: list[float], torch_times: list[float]) -> dict[str, Any]:
    median = float(np.median(times))
    low, high = np.percentile(times, (10, 90))
    return {'ms': float(f'{median:.4g}'), 'spread': f'{low:.4g} to {high:.4g}',
            'speedup': round(float(np.median(torch_times)) / median, 2), 'calls': len(times)}


def _agreement(depth: NDArray[np.float32], expected: NDArray[np.float32]) -> dict[str, Any]:
    difference = float(np.max(np.abs(depth - expected) / np.abs(expected)))
    return {'max_rel_diff': float(f'{difference:.3g}'),
            'verdict': 'yes' if difference <= MAX_DIFFERENCE else 'no'}


def main(args: list[str] | None = None) -> int:
    """Run from the command line: print a table and write JSON."""
    options = _parser().parse_args(args)
    missing = [package for package in EXPORTER if find_spec(package) is None]
    if missing:
        print(f'compare_backends: nothing can be exported: pip install {" ".join(missing)}',
              file=sys.stderr)
        return 1
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    rows = []
    for name in options.models.split(','):
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows += compare(name, Path(folder), repeats=options.repeats,
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
    parser.add_argument('--repeats', type=int, default=20, help='the most rounds a model')
    parser.add_argument('--seconds', type=float, default=180.0,
                        help='for the rounds of a model, but for 3')
    parser.add_argument('--threads', type=int, default=0, help="0 is torch's default")
    parser.add_argument('--output', type=Path, default=Path('benchmark_output'))
    return parser


if __name__ == '__main__':
    sys.exit(main())
