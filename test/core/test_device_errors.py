# SPDX-License-Identifier: Apache-2.0
"""What a device's errors mean: a line with a remedy, out of memory in any words, lost for good."""

from __future__ import annotations

import pytest
import torch

from depth_estimation_ros.core import device_errors
from depth_estimation_ros.core.device_errors import (
    FREE_MEMORY,
    explain,
    explained,
    is_alive,
    is_of_device,
    is_out_of_memory,
    watched,
)
from depth_estimation_ros.core.errors import DeviceError, DeviceLostError

CPU = torch.device('cpu')
TAIL = ("\nSearch for `cudaErrorNoKernelImageForDevice' in "
        'https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more '
        'information.\nCUDA kernel errors might be reported at some other API call.')

AT_START = [
    ('CUDA error: no kernel image is available for execution on the device' + TAIL,
     'install a torch built for this GPU'),
    ('CUDA error: CUBLAS_STATUS_ARCH_MISMATCH when calling `cublasCreate(handle)`',
     'install a torch built for this GPU'),
    ('Torch not compiled with CUDA enabled', 'install a torch built for this GPU'),
    ('CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). '
     'Please update your GPU driver', 'update the NVIDIA driver'),
    ('CUDA error: CUDA driver version is insufficient for CUDA runtime version',
     'update the NVIDIA driver'),
    ('CUDA error: the provided PTX was compiled with an unsupported toolchain.',
     'update the NVIDIA driver'),
    ('Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU',
     '--gpus all'),
    ('CUDA error: all CUDA-capable devices are busy or unavailable', 'nvidia-smi -c DEFAULT'),
    ('CUDA error: CUDA-capable device(s) is/are busy or unavailable', 'nvidia-smi -c DEFAULT'),
    ('CUDA error: invalid device ordinal\nGPU device may be out of range', 'nvidia-smi -L'),
    ('No CUDA GPUs are available: no CUDA-capable device is detected', 'CUDA_VISIBLE_DEVICES'),
    ('CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing '
     'env variable CUDA_VISIBLE_DEVICES after program start.', 'nvidia_uvm'),
    ('CUDA error: system not yet initialized', 'nvidia-fabricmanager'),
    ('CUDA error: forward compatibility was attempted on non supported HW', 'restart the machine'),
    ("Can't initialize NVML: Driver/library version mismatch", 'restart the machine'),
    ('cuDNN version incompatibility: PyTorch was compiled  against (9, 1, 0) but found runtime '
     'version (8, 9, 7).', 'LD_LIBRARY_PATH'),
    ('CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`',
     'too little free memory'),
    ('cuDNN error: CUDNN_STATUS_NOT_INITIALIZED', 'too little free memory'),
    ('CUDA error: uncorrectable ECC error encountered', 'nvidia-smi -r'),
    ('CUDA error: the launch timed out and was terminated', 'screen'),
    ('CUDA error: out of memory', FREE_MEMORY),
    ('CUDA out of memory. Tried to allocate 1.32 GiB. GPU 0 has a total capacity of 3.94 GiB',
     FREE_MEMORY),
]

SHORT_OF_MEMORY = [
    'CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 3.94 GiB total capacity)',
    'CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported',
    'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/opt/pytorch/c10/cuda/CUDACachingAllocator.cpp"'
    ':1131, please report a bug to PyTorch. ',
    'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`',
    'cuDNN error: CUDNN_STATUS_ALLOC_FAILED',
    'cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED',
    "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried "
    'to allocate 400 bytes.',
]

STICKY = [
    'CUDA error: an illegal memory access was encountered',
    'CUDA error: device-side assert triggered',
    'CUDA error: unspecified launch failure',
    'CUDA error: misaligned address',
    'CUDA error: uncorrectable ECC error encountered',
    'Triton Error [CUDA]: an illegal memory access was encountered',
    'cuDNN error: CUDNN_STATUS_EXECUTION_FAILED',
    'CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`',
]


@pytest.mark.parametrize(('text', 'remedy'), AT_START)
def test_an_error_at_start_is_one_line_with_the_remedy(text: str, remedy: str) -> None:
    kind = AssertionError if 'not compiled' in text else RuntimeError
    with pytest.raises(DeviceError) as caught, explained(torch.device('cuda', 0)):
        raise kind(text)
    line = str(caught.value)
    assert line.startswith(f'cuda:0 cannot be used: {text.splitlines()[0]}') and remedy in line
    assert '\n' not in line and not isinstance(caught.value, DeviceLostError)


@pytest.mark.parametrize('text', SHORT_OF_MEMORY)
def test_out_of_memory_is_understood_in_any_words(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text)) and FREE_MEMORY in explain(RuntimeError(text))


def test_where_a_low_precision_is_set_it_is_no_remedy() -> None:
    for text in ('CUDA out of memory', 'cuDNN error: CUDNN_STATUS_NOT_INITIALIZED'):
        error = RuntimeError(text)
        assert 'fp16' in explain(error) and 'fp16' not in explain(error, lowered=True)
    with pytest.raises(DeviceError) as caught, explained(CPU, lowered=True):
        raise torch.OutOfMemoryError('CUDA out of memory')
    assert 'fp16' not in str(caught.value) and '(nvidia-smi lists them) or make' in str(
        caught.value)


def test_out_of_memory_by_its_type() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError('x')) and is_out_of_memory(MemoryError())


@pytest.mark.parametrize('text', [*STICKY, 'a bug', ''])
def test_other_errors_are_not_out_of_memory(text: str) -> None:
    assert not is_out_of_memory(RuntimeError(text))


def test_an_error_of_our_own_passes_as_it_is() -> None:
    with pytest.raises(RuntimeError, match='a bug'), explained(CPU):
        raise RuntimeError('a bug')
    assert not is_of_device(ValueError('CUDA')) and not is_of_device(RuntimeError('a bug'))


@pytest.mark.parametrize('text', STICKY)
def test_an_error_that_sticks_is_told_from_one_that_passes(
        text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=text[:10]), watched(CPU):
        raise RuntimeError(text)
    monkeypatch.setattr(device_errors, 'is_alive', lambda device: False)
    with pytest.raises(DeviceLostError) as caught, watched(CPU):
        raise RuntimeError(text + TAIL)
    assert text in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('error', [
    RuntimeError('shape mismatch'), torch.OutOfMemoryError('CUDA out of memory')])
def test_other_errors_do_not_lose_the_device(
        error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_errors, 'is_alive', lambda device: False)
    with pytest.raises(type(error)) as caught, watched(CPU):
        raise error
    assert not isinstance(caught.value, DeviceLostError)


def test_a_device_is_alive_as_long_as_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_alive(CPU)

    def failing(text: str) -> None:
        def zeros(*args: object, **kwargs: object) -> None:
            raise RuntimeError(text)
        monkeypatch.setattr(torch, 'zeros', zeros)

    failing('CUDA out of memory')
    assert is_alive(CPU)
    failing('CUDA error: an illegal memory access was encountered')
    assert not is_alive(CPU)
