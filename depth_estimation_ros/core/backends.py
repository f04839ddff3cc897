"""What runs a patched network: torch itself, or another form built from it for one input shape."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Event, local
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from .errors import DeviceError

Network = Callable[[Tensor], Tensor]
"""From pixels, float32 N×3×height×width, to float32 metres, N×height×width."""

BACKENDS = ('auto', 'torch', 'openvino')
"""The values of the option ``backend``."""

POLL = 0.2
"""Seconds between looks at whether a build is still wanted."""


def forward(model: nn.Module, pixels: Tensor) -> Tensor:
    """
    Run a patched model in torch, in its own precision.

    :param pixels: float32, N×3×height×width, normalised.
    :return: float32 metres, N×height×width.
    """
    dtype = next(model.parameters()).dtype
    pixels = pixels.to(dtype=dtype, memory_format=torch.channels_last)
    depth: Tensor = model(pixels).predicted_depth
    return depth.float()


@dataclass(frozen=True)
class Backend:
    """A way to make a network run faster for one input shape."""

    name: str
    build: Callable[[nn.Module, Tensor, Event], Network]
    """Takes a private copy of a patched model with the position encodings of the size installed,
    pixels of the shape, and an event; once that is set, it may raise what it likes."""
    copies: bool
    """Whether what is built holds copies of the model's weights and position encodings."""


def _compiled(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
    # Code of its own, since torch compiles one function for a few shapes only.
    function = FunctionType(forward.__code__.replace(), forward.__globals__)
    compiled = torch.compile(function, dynamic=False, fullgraph=True)
    return lambda frame: compiled(model, frame)


TORCH_COMPILE = Backend('torch.compile', _compiled, copies=False)


def openvino(folder: Path) -> Backend:
    """Return the backend that exports a checkpoint's folder and runs it in OpenVINO, in fp32."""
    return Backend('openvino', partial(_exported, folder), copies=True)


def load_openvino() -> Any:
    """Import OpenVINO, but not the part of it that reports its use over the network."""
    sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    import openvino
    return openvino


def _exported(folder: Path, model: nn.Module, pixels: Tensor, stop: Event) -> Network:
    core = load_openvino().Core()
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / 'network.xml'
        _export(folder, (len(pixels), *pixels.shape[2:]), graph, stop)
        core.set_property({'ENABLE_MMAP': False})  # the file is about to go
        compiled = core.compile_model(graph, 'CPU', {
            'INFERENCE_PRECISION_HINT': 'f32',  # or it takes bf16 where the processor has it
            'INFERENCE_NUM_THREADS': torch.get_num_threads()})
    own = local()  # a request serves one thread at a time

    def network(frame: Tensor) -> Tensor:
        if not hasattr(own, 'request'):
            own.request = compiled.create_infer_request()
        results = own.request.infer({0: frame.contiguous().numpy()}, share_inputs=True)
        return torch.from_numpy(results[0])
    return network


def _export(folder: Path, shape: tuple[int, ...], graph: Path, stop: Event) -> None:
    """Run :mod:`.export` until it is done; raises RuntimeError with its last words."""
    command = [sys.executable, '-m', f'{__package__}.export', str(folder), *map(str, shape),
               str(graph)]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile('w+') as log, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
            start_new_session=True) as process:
        while process.poll() is None:
            if stop.wait(POLL):
                process.kill()
        if process.returncode:
            log.seek(0)
            raise RuntimeError((log.read().strip() or 'the export was stopped').splitlines()[-1])


def choose_backends(wanted: str, *, compiles: bool, device: torch.device, precision: str,
                    folder: Path) -> list[Backend]:
    """
    Return what to build beside torch, to be used where it is faster.

    :param wanted: of :data:`BACKENDS`; 'auto' is OpenVINO where it is installed and can serve.
    :param compiles: whether torch.compile is asked for.
    :param precision: of the model, as a name.
    :param folder: the checkpoint's.
    :raises DeviceError: when OpenVINO is asked for and cannot serve.
    """
    check_backend(wanted, device, precision)
    backends = [TORCH_COMPILE] if compiles else []
    if wanted == 'torch' or _hindrance(device, precision):
        return backends
    return [*backends, openvino(folder)]


def check_backend(wanted: str, device: torch.device, precision: str) -> None:
    """Raise DeviceError when a backend is not one, or cannot serve a device and precision."""
    if wanted not in BACKENDS:
        raise DeviceError(f"backend '{wanted}' is not one of {', '.join(BACKENDS)}")
    hindrance = _hindrance(device, 'fp32' if precision == 'auto' else precision)
    if wanted == 'openvino' and hindrance:
        raise DeviceError(f"backend 'openvino' {hindrance}")


def _hindrance(device: torch.device, precision: str) -> str:
    """Return why OpenVINO cannot serve, or ''."""
    if device.type != 'cpu':
        return f"runs on the CPU, not on {device}: set 'device' to cpu, or 'backend' to auto"
    if precision != 'fp32':
        return f"runs in fp32, not in {precision}: set 'precision' to fp32, or 'backend' to auto"
    if find_spec('openvino') is None:
        return 'is not installed: pip install openvino'
    return ''
