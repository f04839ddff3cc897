# SPDX-License-Identifier: Apache-2.0
"""Which device to run on, and a clear answer when it is not there."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device_errors import explain, explained
from .errors import DeviceError

LOGGER = logging.getLogger(__name__)


def resolve_device(device: str) -> torch.device:
    """
    Return the device to run on; 'auto' takes CUDA where it is there, else the CPU with a warning.

    A CUDA device always has its number: 'cuda' is the one that is current.

    :raises DeviceError: when the device is not on this machine.
    """
    if device == 'auto':
        reason = _why_not_cuda()
        if not reason:
            return _indexed(torch.device('cuda'))
        LOGGER.warning('no CUDA device found%s: running on the CPU, which is slow for a full-size '
                       "model; set device to 'cpu' to accept this", reason.rstrip('.'))
        return torch.device('cpu')
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device '{device}' is not one of auto, cpu, cuda, cuda:N") from error
    if resolved.type not in ('cpu', 'cuda'):
        raise DeviceError(f"device '{device}' is not one of auto, cpu, cuda, cuda:N")
    return _present(device, resolved) if resolved.type == 'cuda' else resolved


def start_device(device: torch.device) -> None:
    """
    Make a CUDA device this thread's, see that it computes, and keep float32 exact there.

    cuDNN rounds float32 to TF32 by default, which costs metres (worst pixel 2e-3 instead of 3e-6):
    here it is off for the whole process, in products as in convolutions.

    :raises DeviceError: when the device cannot be used, with the remedy.
    """
    if device.type != 'cuda':
        return
    with explained(device):
        torch.cuda.set_device(device)
        torch.backends.cudnn.allow_tf32 = False
        for name in ('conv', 'rnn'):
            operations: Any = getattr(torch.backends.cudnn, name, None)
            if getattr(operations, 'fp32_precision', '') == 'tf32':  # so by torch 2.9's names
                operations.fp32_precision = 'ieee'
        torch.set_float32_matmul_precision('highest')
        (torch.zeros(1, device=device) + 1).item()


def upload(array: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return an array on a device, which fetches it while the host goes on."""
    values = torch.from_numpy(np.require(array, requirements=['C', 'W']))
    if device.type == 'cuda':
        values = values.pin_memory().to(device, non_blocking=True)
    return values


def fetched(values: Tensor) -> Tensor:
    """Return the host's memory that values are on their way to; of a CPU's it is their own."""
    if values.device.type != 'cuda':
        return values
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    return host.copy_(values, non_blocking=True)


def end_of_work(device: torch.device) -> Callable[[], object]:
    """Return what waits until a device has done all that was begun so far."""
    if device.type != 'cuda':
        return lambda: None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event.synchronize


def device_name(device: torch.device) -> str:
    """Return a device in words."""
    if device.type == 'cuda':
        return f'{device} ({torch.cuda.get_device_name(device)})'
    return f'{device} ({torch.get_num_threads()} threads)'


def _present(device: str, resolved: torch.device) -> torch.device:
    reason = _why_not_cuda()
    if reason or (resolved.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device '{device}' is not on this machine: torch {torch.__version__} "
                          f'sees {torch.cuda.device_count()} CUDA devices{reason}')
    return _indexed(resolved)


def _indexed(device: torch.device) -> torch.device:
    if device.index is not None:
        return device
    with explained(device):
        return torch.device('cuda', torch.cuda.current_device())


def _why_not_cuda() -> str:
    """Return '' where CUDA is available, else what torch says about it, in brackets."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        if torch.cuda.is_available():
            return ''
    if torch.version.cuda is None:
        return ' (this torch is built without CUDA)'
    if not said:
        return ' (nvidia-smi -L lists what the driver sees; a container needs --gpus all)'
    return f' ({explain(RuntimeError(said[-1].message))})'
