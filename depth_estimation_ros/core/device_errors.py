# SPDX-License-Identifier: Apache-2.0
"""What the errors of a device mean: out of memory, lost for good, and what the user can do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .errors import DeviceError, DeviceLostError

OUT_OF_MEMORY = (
    'out of memory', 'CUBLAS_STATUS_ALLOC_FAILED', 'CUDNN_STATUS_ALLOC_FAILED',
    'CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED', 'CUSOLVER_STATUS_ALLOC_FAILED',
    'cudaErrorMemoryAllocation', 'NVML_SUCCESS == r INTERNAL ASSERT FAILED',
    "can't allocate memory", 'not enough memory',
)
"""What the libraries say; the assertion is a Jetson's, whose NVML cannot tell what is free."""

OF_THE_DEVICE = ('cuda', 'cublas', 'cudnn', 'cusolver', 'nvml', 'nvrtc', 'nvidia', 'triton error')
"""Lower-case words of which a message of the device's libraries has one."""

LOWER = ", set 'precision' to fp16,"
FREE_MEMORY = (f'end other programs on the GPU (nvidia-smi lists them){LOWER} '
               "or make 'network.height' and 'network.width' smaller")
NEWER_DRIVER = ('update the NVIDIA driver, or install a torch built for the CUDA version that '
                'nvidia-smi shows')
REINSTALL = 'install a torch built for this GPU: https://pytorch.org/get-started'
RESTART = 'restart the process; where that does not help, the machine'

REMEDIES = (
    ('no kernel image is available', REINSTALL),
    ('CUBLAS_STATUS_ARCH_MISMATCH', REINSTALL),
    ('not compiled with CUDA', REINSTALL),
    ('driver version is insufficient', NEWER_DRIVER),
    ('driver on your system is too old', NEWER_DRIVER),
    ('unsupported toolchain', NEWER_DRIVER),
    ('no NVIDIA driver', 'install the NVIDIA driver; a container needs --gpus all'),
    ('busy or unavailable', 'another process holds the GPU for itself: end it, or allow sharing '
                            '(nvidia-smi -c DEFAULT)'),
    ('invalid device ordinal', "'device' names a GPU that is not there: see nvidia-smi -L and "
                               'CUDA_VISIBLE_DEVICES'),
    ('no CUDA-capable device', 'see nvidia-smi -L and CUDA_VISIBLE_DEVICES; a container needs '
                               '--gpus all'),
    ('CUDA unknown error', 'often after suspend: reload the kernel module (rmmod nvidia_uvm; '
                           'modprobe nvidia_uvm) or restart the machine'),
    ('system not yet initialized', 'start nvidia-fabricmanager'),
    ('forward compatibility was attempted', 'the driver was updated under the running kernel '
                                            'module: restart the machine'),
    ('version mismatch', 'the driver was updated under the running kernel module: restart the '
                         'machine'),
    ('cuDNN version incompatibility', 'take other cuDNN libraries out of LD_LIBRARY_PATH'),
    ('CUBLAS_STATUS_NOT_INITIALIZED', f'most often too little free memory: {FREE_MEMORY}'),
    ('CUDNN_STATUS_NOT_INITIALIZED', f'most often too little free memory: {FREE_MEMORY}'),
    ('ECC error', 'the memory of the GPU is faulty: reset the GPU (nvidia-smi -r), replace it '
                  'where it happens again'),
    ('fallen off the bus', 'see dmesg; power, heat or the slot: restart the machine'),
    ('GPU is lost', 'see dmesg; power, heat or the slot: restart the machine'),
    ('launch timed out', 'the GPU also drives a screen and a kernel took too long there'),
    ('illegal memory access', RESTART),
    ('device-side assert', RESTART),
    ('launch failure', RESTART),
    ('misaligned address', RESTART),
    ('illegal instruction', RESTART),
)
"""Parts of messages as CUDA, its libraries and torch word them, and the user's remedy."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory was short, whoever says so in whatever words."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)


def is_of_device(error: BaseException) -> bool:
    """Return whether an error comes from a GPU or the libraries that drive it."""
    if isinstance(error, (torch.OutOfMemoryError, _ACCELERATOR_ERROR)):
        return True
    text = str(error).lower()
    return (isinstance(error, (RuntimeError, AssertionError))
            and any(word in text for word in OF_THE_DEVICE))


_ACCELERATOR_ERROR: type[Exception] = getattr(torch, 'AcceleratorError', torch.OutOfMemoryError)


def is_alive(device: torch.device) -> bool:
    """Return whether a device still computes; after an error that sticks every call fails."""
    try:
        return float((torch.zeros(1, device=device) + 1).item()) == 1.0
    except Exception as error:  # of any of the device's libraries
        return is_out_of_memory(error)


def explain(error: BaseException, *, lowered: bool = False) -> str:
    """
    Return one line: what the device says, and what the user can do about it.

    :param lowered: whether a low precision is set already.
    """
    remedy = FREE_MEMORY if is_out_of_memory(error) else next(
        (remedy for text, remedy in REMEDIES if text.lower() in str(error).lower()), '')
    if lowered:
        remedy = remedy.replace(LOWER, '')
    return f'{first_line(error)} ({remedy})' if remedy else first_line(error)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none."""
    return (str(error).strip() or repr(error)).splitlines()[0]


@contextmanager
def explained(device: torch.device, *, lowered: bool = False) -> Iterator[None]:
    """
    Turn whatever a device says at start into one line.

    :param lowered: whether a low precision is set already.
    :raises DeviceError: with the remedy.
    """
    try:
        yield
    except (RuntimeError, AssertionError, MemoryError) as error:
        if not (is_of_device(error) or is_out_of_memory(error)):
            raise
        raise DeviceError(
            f'{device} cannot be used: {explain(error, lowered=lowered)}') from error


@contextmanager
def watched(device: torch.device) -> Iterator[None]:
    """
    Find out, when a call to a device fails, whether any later one can succeed.

    :raises DeviceLostError: when none can; any other error passes as it is.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_of_device(error) or is_out_of_memory(error) or is_alive(device):
            raise
        raise DeviceLostError(f'{device} is lost to this process: {explain(error)}') from error
