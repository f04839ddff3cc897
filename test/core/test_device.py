# SPDX-License-Identifier: Apache-2.0
"""The device: one that is not there is refused, and not replaced; one that is has its number."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from depth_estimation_ros.core.device import resolve_device, start_device
from depth_estimation_ros.core.errors import DeviceError

TOO_OLD = ('CUDA initialization: The NVIDIA driver on your system is too old (found version '
           '11040). Please update your GPU driver')


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes torch see a number of GPUs, one of them current."""
    def make(count: int, current: int = 0) -> None:
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: count > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
        monkeypatch.setattr(torch.cuda, 'current_device', lambda: current)
    return make


@pytest.mark.parametrize(('device', 'expected'), [
    ('auto', 'cuda:1'), ('cuda', 'cuda:1'), ('cuda:0', 'cuda:0'), ('cpu', 'cpu')])
def test_a_gpu_always_has_its_number(
        machine: Callable[..., None], device: str, expected: str) -> None:
    machine(2, current=1)
    assert str(resolve_device(device)) == expected


@pytest.mark.parametrize('device', ['cuda', 'cuda:0', 'cuda:7'])
def test_cuda_that_is_not_there_is_refused(machine: Callable[..., None], device: str) -> None:
    machine(0)
    with pytest.raises(DeviceError, match=f"'{device}' is not on this machine.* 0 CUDA"):
        resolve_device(device)


def test_a_number_too_high_is_refused(machine: Callable[..., None]) -> None:
    machine(2)
    with pytest.raises(DeviceError, match=r"'cuda:2' is not on this machine.* 2 CUDA devices$"):
        resolve_device('cuda:2')


@pytest.mark.parametrize('device', ['', 'gpu', 'cuda:x', 'meta', 'mps'])
def test_another_device_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match=f"'{device}' is not one of auto, cpu, cuda, cuda:N"):
        resolve_device(device)


def test_what_torch_says_about_a_gpu_it_cannot_use_is_told(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def available() -> bool:
        warnings.warn(TOO_OLD, stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, 'is_available', available)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    with pytest.raises(DeviceError, match=r'driver on your system is too old.*\(update the'):
        resolve_device('cuda:0')
    assert resolve_device('auto') == torch.device('cpu')
    warning, = [record.getMessage() for record in caplog.records
                if record.levelno == logging.WARNING]
    assert 'too old' in warning and 'running on the CPU' in warning


def test_a_torch_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.version, 'cuda', None)
    with pytest.raises(DeviceError, match='built without CUDA'):
        resolve_device('cuda:0')


def test_an_error_of_the_first_call_is_one_line(
        machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> int:
        raise RuntimeError('CUDA error: all CUDA-capable devices are busy or unavailable\nmore')

    machine(1)
    monkeypatch.setattr(torch.cuda, 'current_device', busy)
    with pytest.raises(DeviceError, match=r'^cuda cannot be used: CUDA error: all.*DEFAULT\)\)$'):
        resolve_device('auto')


def test_a_gpu_is_tried_and_keeps_float32_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[torch.device] = []
    asked: list[torch.device] = []
    zeros = torch.zeros
    monkeypatch.setattr(torch.cuda, 'set_device', current.append)

    def zeros_on(count: int, device: torch.device) -> torch.Tensor:
        asked.append(device)
        return zeros(count)

    monkeypatch.setattr(torch, 'zeros', zeros_on)
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high')
    try:
        start_device(torch.device('cuda', 1))
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == 'highest'
    finally:
        torch.set_float32_matmul_precision(before)
    assert current == asked == [torch.device('cuda', 1)]


def test_float32_is_exact_too_where_torchs_new_names_have_changed_it(
        monkeypatch: pytest.MonkeyPatch) -> None:
    operations: list[Any] = [getattr(torch.backends.cudnn, name, None)
                             for name in ('conv', 'rnn')]
    if operations[0] is None:
        pytest.skip('this torch has the old names only')
    zeros = torch.zeros
    monkeypatch.setattr(torch.cuda, 'set_device', lambda device: None)
    monkeypatch.setattr(torch, 'zeros', lambda count, device: zeros(count))
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    everything: Any = torch.backends
    before = everything.fp32_precision, [each.fp32_precision for each in operations]
    try:
        everything.fp32_precision = 'tf32'
        start_device(torch.device('cuda', 0))
        assert [each.fp32_precision for each in operations] == ['ieee', 'ieee']
    finally:
        everything.fp32_precision = before[0]
        for each, value in zip(operations, before[1], strict=True):
            each.fp32_precision = value


def test_a_gpu_that_this_torch_has_no_code_for_is_told_at_once(
        monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(*args: object, **kwargs: object) -> None:
        raise RuntimeError('CUDA error: no kernel image is available for execution on the device')

    monkeypatch.setattr(torch.cuda, 'set_device', lambda device: None)
    monkeypatch.setattr(torch, 'zeros', zeros)
    with pytest.raises(DeviceError, match=r'no kernel image.*install a torch'):
        start_device(torch.device('cuda', 0))


def test_the_cpu_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    start_device(torch.device('cpu'))
    assert torch.backends.cudnn.allow_tf32
