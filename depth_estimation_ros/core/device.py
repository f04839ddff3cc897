"""Which device to run on, and a clear answer when it is not there."""

import logging

import torch

from .errors import DeviceError

LOGGER = logging.getLogger(__name__)


def resolve_device(device: str) -> torch.device:
    """
    Return the device to run on; 'auto' takes CUDA where it is there, else the CPU with a warning.

    :raises DeviceError: when the device is not on this machine.
    """
    if device == 'auto':
        if torch.cuda.is_available():
            return torch.device('cuda')
        LOGGER.warning('no CUDA device found: running on the CPU, which is slow for a full-size '
                       "model; set device to 'cpu' to accept this")
        return torch.device('cpu')
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device '{device}' is not one of auto, cpu, cuda, cuda:N") from error
    if resolved.type not in ('cpu', 'cuda'):
        raise DeviceError(f"device '{device}' is not one of auto, cpu, cuda, cuda:N")
    if resolved.type == 'cuda' and (resolved.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device '{device}' is not on this machine: torch {torch.__version__} "
                          f'sees {torch.cuda.device_count()} CUDA devices')
    return resolved
