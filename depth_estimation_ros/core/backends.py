"""What runs a patched network: torch itself, or another form built from it for one input shape."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from .errors import DeviceError

Network = Callable[[Tensor], Tensor]
"""From pixels, float32 N×3×height×width, to float32 metres, N×height×width."""

BACKENDS = ('auto', 'torch', 'openvino')
"""The values of the option ``backend``."""


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
    build: Callable[[nn.Module, Tensor], Network]
    """Takes a patched model, the position codes of the size installed, and pixels of the shape."""
    copies: bool
    """Whether what is built holds copies of the model's weights and position codes."""


def _inductor(model: nn.Module, pixels: Tensor) -> Network:
    compiled = torch.compile(forward, dynamic=False, fullgraph=True)
    compiled(model, pixels)
    return lambda frame: compiled(model, frame)


def _openvino(model: nn.Module, pixels: Tensor) -> Network:
    import openvino as ov
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # torch.export's, about its own internals
        program = torch.export.export(Metres(model), (pixels,), strict=False)
        graph = ov.convert_model(program)
    compiled = ov.compile_model(graph, 'CPU', {
        'INFERENCE_PRECISION_HINT': 'f32',  # or it takes bf16 where the processor has it
        'INFERENCE_NUM_THREADS': torch.get_num_threads()})
    request, turn = compiled.create_infer_request(), Lock()

    def network(frame: Tensor) -> Tensor:
        with turn:  # the builder's thread may judge another network by this one
            results = request.infer({0: frame.contiguous().numpy()}, share_inputs=True)
            return torch.from_numpy(np.asarray(results[0]))
    return network


class Metres(nn.Module):
    """A model with one input and one output, as an exported graph has."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Return metres, N×height×width, for normalised pixels, N×3×height×width."""
        return forward(self.model, pixels)


INDUCTOR = Backend('torch.compile', _inductor, copies=False)
OPENVINO = Backend('openvino', _openvino, copies=True)


def choose_backends(wanted: str, *, compiles: bool, device: torch.device,
                    precision: str) -> list[Backend]:
    """
    Return what to build beside torch, to be used where it is faster.

    :param wanted: of :data:`BACKENDS`; 'auto' is OpenVINO where it is installed and can serve.
    :param compiles: whether torch.compile is asked for.
    :param precision: of the model, as a name.
    :raises DeviceError: when OpenVINO is asked for and cannot serve.
    """
    if wanted not in BACKENDS:
        raise DeviceError(f"backend '{wanted}' is not one of {', '.join(BACKENDS)}")
    backends = [INDUCTOR] if compiles else []
    hindrance = _hindrance(device, precision)
    if wanted == 'openvino' and hindrance:
        raise DeviceError(f"backend 'openvino' {hindrance}")
    return backends if wanted == 'torch' or hindrance else [*backends, OPENVINO]


def _hindrance(device: torch.device, precision: str) -> str:
    """Return why OpenVINO cannot serve, or ''."""
    if device.type != 'cpu':
        return f"runs on the CPU, not on {device}: set 'device' to cpu, or 'backend' to auto"
    if precision != 'fp32':
        return f"runs in fp32, not in {precision}: set 'precision' to fp32, or 'backend' to auto"
    if find_spec('openvino') is None:
        return 'is not installed: pip install openvino'
    return ''
