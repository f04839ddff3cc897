# SPDX-License-Identifier: Apache-2.0
"""A patched model in OpenVINO, on the CPU: exported by a process of its own, compiled here."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn

from .base import Backend, Network
from .reason import reason

LOGGER = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between looks at whether an export is still wanted."""

HINTS = {'fp32': 'f32', 'bf16': 'bf16'}
"""The plug-in's names of the precisions that it serves; without one it takes bf16 where the
processor has it. fp16 is not among them: its products are slower than those of fp32."""

WITHOUT_SNIPPETS = {'SNIPPETS_MODE': 'DISABLE'}
"""An internal property of the CPU plug-in: no code generated for chains of small operations, which
takes more registers than some processors have."""


def openvino_backend(folder: Path, domain: str = 'auto', precision: str = 'fp32') -> Backend:
    """
    Return the backend that exports a checkpoint's folder and runs it in OpenVINO.

    :param domain: the metric head that serves every image; 'auto' leaves it to the model.
    :param precision: of :data:`HINTS`.
    """
    return Backend('openvino', partial(_build, folder, domain, precision), copies=True)


def load_openvino() -> Any:
    """Import OpenVINO, but not the part of it that reports its use over the network."""
    sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    import openvino
    return openvino


def compile_graph(graph: Path, precision: str = 'fp32') -> Network:
    """
    Compile an exported graph, without the plug-in's generated code where that fails.

    :param graph: the .xml file; it is not needed any more afterwards.
    :param precision: of :data:`HINTS`.
    :raises RuntimeError: when the plug-in cannot compile it in either way.
    """
    core = load_openvino().Core()
    core.set_property({'ENABLE_MMAP': False})  # the file is about to go
    settings = {'INFERENCE_PRECISION_HINT': HINTS[precision],
                'INFERENCE_NUM_THREADS': torch.get_num_threads()}
    try:
        compiled = core.compile_model(graph, 'CPU', settings)
    except RuntimeError as error:
        LOGGER.info('openvino compiles the network once more, without snippets: %s', reason(error))
        compiled = core.compile_model(graph, 'CPU', {**settings, **WITHOUT_SNIPPETS})
    return partial(_infer, compiled, deque())


def _infer(compiled: Any, idle: deque[Any], frame: Tensor) -> Tensor:
    """Run a compiled graph; a request serves one thread at a time, and keeps its memory."""
    try:
        request = idle.pop()
    except IndexError:
        request = compiled.create_infer_request()
    results = request.infer({0: frame.contiguous().numpy()}, share_inputs=True)
    idle.append(request)
    return torch.from_numpy(results[0])


def _build(folder: Path, domain: str, precision: str, model: nn.Module, pixels: Tensor,
           stop: Event) -> Network:
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / 'network.xml'
        _export(folder, domain, tuple(pixels.shape), graph, stop)
        return compile_graph(graph, precision)


def _export(folder: Path, domain: str, shape: tuple[int, ...], graph: Path,
            stop: Event) -> None:
    """Run :mod:`.export` until it is done; raises RuntimeError with what it wrote last."""
    command = [sys.executable, '-m', f'{__package__}.export', str(folder), domain,
               *map(str, shape), str(graph)]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile('w+') as log, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
            start_new_session=True) as process:
        while process.poll() is None:
            if stop.wait(POLL):
                process.kill()
        if process.returncode:
            log.seek(0)
            raise RuntimeError(_explanation(process.returncode, log.read()))


def _explanation(code: int, text: str) -> str:
    """Return why an export failed."""
    if code < 0:
        return f'the export was stopped by {signal.Signals(-code).name}'
    return (text.strip() or f'the export ended with code {code}').splitlines()[-1]
