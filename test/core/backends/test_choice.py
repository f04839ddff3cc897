# SPDX-License-Identifier: Apache-2.0
"""Which backends are chosen where, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depth_estimation_ros.core import backends
from depth_estimation_ros.core.backends import check_backend, choose_backends
from depth_estimation_ros.core.errors import DeviceError

CPU, CUDA = torch.device('cpu'), torch.device('cuda')
FOLDER = Path('a/checkpoint')


def names(wanted: str = 'auto', *, compiles: bool = False, device: torch.device = CPU,
          precision: str = 'fp32') -> list[str]:
    return [backend.name for backend in choose_backends(
        wanted, compiles=compiles, device=device, precision=precision, folder=FOLDER)]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, 'find_spec', lambda name: object())


@pytest.mark.usefixtures('installed')
def test_auto_is_openvino_where_it_can_serve() -> None:
    assert names() == ['openvino']
    assert names(precision='bf16') == ['openvino']
    assert names(device=CUDA) == names(precision='fp16') == names('torch') == []


def test_auto_is_torch_where_openvino_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, 'find_spec', lambda name: None)
    assert names() == []
    with pytest.raises(DeviceError, match='pip install openvino'):
        names('openvino')


@pytest.mark.usefixtures('installed')
@pytest.mark.parametrize(('device', 'precision', 'remedy'), [
    (CUDA, 'auto', "'device' to cpu"), (CPU, 'fp16', "'precision' to fp32")])
def test_openvino_is_refused_where_it_cannot_serve(
        device: torch.device, precision: str, remedy: str) -> None:
    with pytest.raises(DeviceError, match=remedy):
        check_backend('openvino', device, precision)
    check_backend('openvino', CPU, 'auto')


@pytest.mark.usefixtures('installed')
def test_compile_adds_torch_compile() -> None:
    assert names(compiles=True) == ['torch.compile', 'openvino']
    assert names(compiles=True, device=CUDA) == ['torch.compile']


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(DeviceError, match="'tpu' is not one of auto, torch, openvino"):
        names('tpu')
