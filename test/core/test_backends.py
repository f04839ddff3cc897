"""OpenVINO and torch.compile for real: the same metres; and which of them is chosen when."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import pytest
import torch

from depth_estimation_ros.core import backends
from depth_estimation_ros.core.backends import (
    TORCH_COMPILE,
    Network,
    check_backend,
    choose_backends,
    forward,
    openvino,
)
from depth_estimation_ros.core.errors import DeviceError
from depth_estimation_ros.core.running.planner import Planner

from .conftest import noise, patched_model

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
    assert names(device=CUDA) == names(precision='bf16') == names('torch') == []


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


with_openvino = pytest.mark.skipif(
    find_spec('openvino') is None, reason='openvino is not installed')


def same_metres(network: Network, heads: int, bins: str, batch: int) -> None:
    pixels = noise(batch, 96, 128, seed=1)
    with torch.inference_mode():
        expected = forward(patched_model(heads, bins), pixels)
        for _ in range(2):
            metres = network(pixels)
            assert metres.shape == expected.shape and metres.dtype == torch.float32
            torch.testing.assert_close(metres, expected, rtol=1e-4, atol=0)


@with_openvino
@pytest.mark.parametrize(('batch', 'heads', 'bins'), [
    (1, 2, 'softplus'), pytest.param(3, 1, 'normed', marks=pytest.mark.slow)])
def test_openvino_gives_the_same_metres_and_reports_to_nobody(
        checkpoint_of: Callable[..., Path], batch: int, heads: int, bins: str) -> None:
    backend = openvino(checkpoint_of(heads, bins))
    network = backend.build(patched_model(heads, bins), noise(batch, 96, 128), Event())
    same_metres(network, heads, bins, batch)
    assert sys.modules['openvino_telemetry'] is None


@with_openvino
def test_an_export_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r'config\.json cannot be read'):
        openvino(tmp_path).build(patched_model(), noise(1, 96, 128), Event())


@with_openvino
def test_an_export_that_nobody_wants_any_more_is_stopped(
        checkpoint_of: Callable[..., Path]) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(RuntimeError, match='the export was stopped'):
        openvino(checkpoint_of()).build(patched_model(), noise(1, 96, 128), stop)


@pytest.mark.slow
@with_openvino
def test_openvino_is_built_while_frames_are_served(
        checkpoint_of: Callable[..., Path], gain: Callable[[float], None]) -> None:
    gain(2.0)
    pixels = noise(1, 96, 128)
    planner = Planner(patched_model(), backends=[openvino(checkpoint_of())])
    expected = planner(pixels).clone()
    served = 0
    while planner.building:
        torch.testing.assert_close(planner(pixels), expected, rtol=1e-4, atol=0)
        served += 1
    assert served > 10 and planner.backend == 'openvino'
    planner.close()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='torch.compile needs g++')
def test_torch_compile_gives_the_same_metres_while_frames_are_served(
        gain: Callable[[float], None]) -> None:
    gain(2.0)
    pixels = noise(1, 96, 128)
    planner = Planner(patched_model(), backends=[TORCH_COMPILE])
    expected = planner(pixels).clone()
    while planner.building:
        torch.testing.assert_close(planner(pixels), expected, rtol=1e-4, atol=0)
    assert planner.backend == 'torch.compile'
    same_metres(planner, 2, 'softplus', 1)
    planner.close()
