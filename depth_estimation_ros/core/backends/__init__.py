# SPDX-License-Identifier: Apache-2.0
"""What runs a patched network: torch itself, or another form built from it for one input shape."""

from importlib.util import find_spec
from pathlib import Path

import torch

from ..errors import DeviceError
from .base import Backend, Network
from .compiled import TORCH_COMPILE
from .eager import device_of, forward
from .openvino import HINTS, openvino_backend

__all__ = ['BACKENDS', 'Backend', 'Network', 'check_backend', 'choose_backends', 'device_of',
           'forward', 'unsupported_reason']

BACKENDS = ('auto', 'torch', 'openvino')
"""The values of the option ``backend``."""


def choose_backends(wanted: str, *, compiles: bool, device: torch.device, precision: str,
                    folder: Path, domain: str = 'auto') -> list[Backend]:
    """
    Return what to build beside torch, to be used where it is faster.

    :param wanted: of :data:`BACKENDS`; 'auto' is OpenVINO where it is installed and can serve.
    :param compiles: whether torch.compile is asked for.
    :param precision: of the model, as a name.
    :param folder: the checkpoint's.
    :param domain: the metric head that serves every image, or 'auto'.
    :raises DeviceError: when OpenVINO is asked for and cannot serve.
    """
    check_backend(wanted, device, precision)
    backends = [TORCH_COMPILE] if compiles else []
    if wanted == 'torch' or unsupported_reason(device, precision):
        return backends
    return [*backends, openvino_backend(folder, domain, precision)]


def check_backend(wanted: str, device: torch.device, precision: str) -> None:
    """Raise DeviceError when a backend is not one, or cannot serve a device and precision."""
    if wanted not in BACKENDS:
        raise DeviceError(f"backend '{wanted}' is not one of {', '.join(BACKENDS)}")
    reason = unsupported_reason(device, 'fp32' if precision == 'auto' else precision)
    if wanted == 'openvino' and reason:
        raise DeviceError(f"backend 'openvino' {reason}")


def unsupported_reason(device: torch.device, precision: str) -> str:
    """Return why OpenVINO cannot serve, or ''."""
    if device.type != 'cpu':
        return f"runs on the CPU, not on {device}: set 'device' to cpu, or 'backend' to auto"
    if precision not in HINTS:
        return (f"runs in {' or '.join(HINTS)}, not in {precision}: set 'precision' to fp32, or "
                "'backend' to auto")
    if find_spec('openvino') is None:
        return 'is not installed: pip install openvino'
    return ''
