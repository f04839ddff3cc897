"""Networks built beside the work: used when they are better, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from depth_estimation_ros.core import compilation
from depth_estimation_ros.core.backends import Backend, Network, forward
from depth_estimation_ros.core.compilation import GAIN, Builder, faster
from depth_estimation_ros.core.plan import Planner, Shape

from .conftest import noise, patched_model

PATIENCE = 60.0
SIZE = (64, 96)


def scaled(factor: float, built: list[Any] | None = None, *, copies: bool = False) -> Backend:
    """A backend whose metres are the model's own times a factor."""
    def build(model: nn.Module, pixels: Tensor) -> Network:
        if built is not None:
            built.append(tuple(pixels.shape))
        return lambda frame: forward(model, frame) * factor
    return Backend('scaled', build, copies)


@pytest.fixture
def gain(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets the gain which every network is found to have."""
    return lambda value: monkeypatch.setattr(compilation, '_gain', lambda used, other: value)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING]


def judged(backend: Backend) -> Network | None:
    model = patched_model()
    return faster(backend, model, noise(1, *SIZE), partial(forward, model))


@pytest.mark.parametrize(('speed', 'taken'), [(GAIN, True), (GAIN - 0.01, False)])
def test_the_faster_network_is_taken(
        gain: Callable[[float], None], speed: float, taken: bool) -> None:
    gain(speed)
    assert (judged(scaled(1.0)) is not None) == taken


def test_the_gain_is_measured() -> None:
    turns: list[str] = []

    def run(name: str) -> Tensor:
        turns.append(name)
        threading.Event().wait({'used': 0.02, 'other': 0.005}[name])
        return torch.zeros(1)

    measured = compilation._gain(lambda: run('used'), lambda: run('other'))
    assert 1.5 < measured < 20
    assert turns == ['used', 'other'] * compilation.ROUNDS


def test_other_metres_are_not_taken_however_fast(
        gain: Callable[[float], None], caplog: pytest.LogCaptureFixture) -> None:
    gain(9.0)
    assert judged(scaled(1.0005)) is not None
    assert judged(scaled(1.002)) is None
    assert judged(scaled(float('nan'))) is None
    assert ['other metres' in text for text in warnings_of(caplog)] == [True, True]


@pytest.mark.parametrize('text', ['no C++ compiler\nlong story', ''])
def test_a_backend_that_fails_is_a_warning(text: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(model: nn.Module, pixels: Tensor) -> Network:
        raise RuntimeError(text)

    assert judged(Backend('broken', fail, copies=False)) is None
    warning, = warnings_of(caplog)
    assert 'broken cannot build the network for 96x64, batch 1' in warning
    assert (text.splitlines() or ['RuntimeError'])[0] in warning
    assert '\n' not in warning


def test_jobs_are_done_in_turn_and_none_after_closing() -> None:
    builder, done, gate = Builder(), [], threading.Event()
    assert builder.settle(0) and not builder.busy
    builder.submit(lambda: done.append(gate.wait(PATIENCE)))
    builder.submit(lambda: done.append(2))
    assert not builder.settle(0.05) and builder.busy
    gate.set()
    assert builder.settle(PATIENCE) and done == [True, 2]
    gate.clear()
    builder.submit(lambda: done.append(gate.wait(PATIENCE)))
    builder.submit(lambda: done.append('too late'))
    builder.close()
    gate.set()
    assert builder._thread is not None
    builder._thread.join(PATIENCE)
    assert not builder._thread.is_alive() and 'too late' not in done


def test_frames_are_served_while_it_builds(gain: Callable[[float], None]) -> None:
    gain(2.0)
    gate = threading.Event()
    backend = scaled(1.0005)
    slow = Backend('slow', lambda *job: (gate.wait(PATIENCE), backend.build(*job))[1], False)
    planner, pixels = Planner(patched_model(), backends=[slow]), noise(1, *SIZE)
    plain = planner(pixels).clone()
    assert torch.equal(planner(pixels), plain) and planner.backend == 'torch'
    gate.set()
    assert planner.settle(PATIENCE) and planner.backend == 'slow'
    torch.testing.assert_close(planner(pixels), plain * 1.0005)


def test_a_batch_is_put_together_of_the_networks_for_1_2_4_images(
        gain: Callable[[float], None]) -> None:
    gain(2.0)
    built: list[Any] = []
    planner = Planner(patched_model(), backends=[scaled(1.0005, built)])
    pixels = noise(7, *SIZE)
    plain = planner(pixels).clone()
    assert planner.settle(PATIENCE)
    assert [shape[0] for shape in built] == [1, 2, 4]
    for batch in (7, 3, 1, 6):
        torch.testing.assert_close(
            planner(pixels[:batch]), plain[:batch] * 1.0005, rtol=1e-5, atol=0)
    assert planner.settle(PATIENCE) and len(built) == 3


def test_a_network_for_a_batch_must_beat_those_for_its_parts(
        monkeypatch: pytest.MonkeyPatch) -> None:
    gains = iter([2.0, 1.0])
    monkeypatch.setattr(compilation, '_gain', lambda used, other: next(gains))
    planner = Planner(patched_model(), backends=[scaled(1.0005)])
    plain = planner(noise(3, *SIZE)).clone()
    assert planner.settle(PATIENCE)
    torch.testing.assert_close(planner(noise(3, *SIZE)), plain * 1.0005, rtol=1e-5, atol=0)
    assert list(planner._faster(Shape(3, *SIZE)).args[0]) == [1]


def test_a_shape_is_built_once_and_forgotten_with_its_size(gain: Callable[[float], None]) -> None:
    gain(2.0)
    built: list[Any] = []
    planner = Planner(patched_model(), budget_mb=0, backends=[scaled(1.0, built)])
    for size in (SIZE, SIZE, (64, 160), SIZE):
        planner(noise(1, *size))
        assert planner.settle(PATIENCE)
    assert [shape[2:] for shape in built] == [SIZE, (64, 160), SIZE]


def test_copies_count_and_are_not_made_beyond_the_budget(gain: Callable[[float], None]) -> None:
    gain(2.0)
    built: list[Any] = []
    planner = Planner(patched_model(), backends=[scaled(1.0, built, copies=True)])
    planner(noise(1, *SIZE))
    codes = planner.bytes
    assert planner.settle(PATIENCE)
    weights = sum(weight.nbytes for weight in planner.model.parameters())
    assert planner.bytes == codes + weights + codes and built
    tight = Planner(patched_model(), budget_mb=(planner.bytes - 1) / 2**20,
                    backends=[scaled(1.0, built, copies=True)])
    tight(noise(1, *SIZE))
    assert tight.settle(PATIENCE) and len(built) == 1 and tight.backend == 'torch'


def test_nothing_is_built_unless_asked_for() -> None:
    planner = Planner(patched_model())
    planner(noise(1, *SIZE))
    assert planner.settle(0) and planner.backend == 'torch'
