"""OpenVINO and torch.compile for real: the same metres; and which of them is chosen when."""

from __future__ import annotations

import shutil
from functools import partial

import pytest
import torch

from depth_estimation_ros.core import backends
from depth_estimation_ros.core.backends import (
    INDUCTOR,
    OPENVINO,
    Backend,
    choose_backends,
    forward,
)
from depth_estimation_ros.core.errors import DeviceError
from depth_estimation_ros.core.plan import Planner

from .conftest import noise, patched_model

CPU, CUDA = torch.device('cpu'), torch.device('cuda')
choose = partial(choose_backends, 'auto', compiles=False, device=CPU, precision='fp32')


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, 'find_spec', lambda name: object())


@pytest.mark.usefixtures('installed')
def test_auto_is_openvino_where_it_can_serve() -> None:
    assert choose() == [OPENVINO]
    assert choose(device=CUDA) == choose(precision='bf16') == []
    assert choose_backends('torch', compiles=False, device=CPU, precision='fp32') == []


def test_auto_is_torch_where_openvino_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, 'find_spec', lambda name: None)
    assert choose() == []
    with pytest.raises(DeviceError, match='pip install openvino'):
        choose_backends('openvino', compiles=False, device=CPU, precision='fp32')


@pytest.mark.usefixtures('installed')
@pytest.mark.parametrize(('device', 'precision', 'remedy'), [
    (CUDA, 'fp32', "'device' to cpu"), (CPU, 'fp16', "'precision' to fp32")])
def test_openvino_is_refused_where_it_cannot_serve(
        device: torch.device, precision: str, remedy: str) -> None:
    with pytest.raises(DeviceError, match=remedy):
        choose_backends('openvino', compiles=False, device=device, precision=precision)


@pytest.mark.usefixtures('installed')
def test_compile_adds_torch_compile() -> None:
    assert choose(compiles=True) == [INDUCTOR, OPENVINO]
    assert choose(compiles=True, device=CUDA) == [INDUCTOR]


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(DeviceError, match="'tpu' is not one of auto, torch, openvino"):
        choose_backends('tpu', compiles=False, device=CPU, precision='fp32')


def same_metres(backend: Backend, batch: int, heads: int, bins: str) -> None:
    planner, pixels = Planner(patched_model(heads, bins)), noise(batch, 64, 96, seed=1)
    planner(noise(batch, 64, 96))
    network = backend.build(planner.model, noise(batch, 64, 96))
    with torch.inference_mode():
        expected = forward(patched_model(heads, bins), pixels)
        metres = network(pixels)
        assert metres.shape == expected.shape and metres.dtype == torch.float32
        torch.testing.assert_close(metres, expected, rtol=1e-4, atol=0)
        torch.testing.assert_close(network(pixels), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(('batch', 'heads', 'bins'), [(1, 2, 'softplus'), (3, 1, 'normed')])
def test_openvino_gives_the_same_metres(batch: int, heads: int, bins: str) -> None:
    pytest.importorskip('openvino', reason='openvino is not installed')
    same_metres(OPENVINO, batch, heads, bins)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='torch.compile needs g++')
def test_torch_compile_gives_the_same_metres() -> None:
    same_metres(INDUCTOR, 1, 2, 'softplus')
