"""Another network is taken when it gives the same metres in less time, and never else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from threading import Event

import pytest
import torch
from torch import Tensor, nn

from depth_estimation_ros.core import judge
from depth_estimation_ros.core.backends import Backend, Network, forward
from depth_estimation_ros.core.judge import GAIN, faster

from .conftest import noise, patched_model, scaled

SIZE = (64, 96)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING]


def judged(backend: Backend, stop: Event | None = None) -> Network | None:
    model = patched_model()
    return faster(backend, model, noise(1, *SIZE), partial(forward, model), stop or Event())


@pytest.mark.parametrize(('speed', 'taken'), [(GAIN, True), (GAIN - 0.01, False)])
def test_the_faster_network_is_taken(
        gain: Callable[[float], None], speed: float, taken: bool) -> None:
    gain(speed)
    assert (judged(scaled(1.0)) is not None) == taken


def test_the_gain_is_measured() -> None:
    turns: list[str] = []

    def run(name: str) -> Tensor:
        turns.append(name)
        Event().wait({'used': 0.02, 'other': 0.005}[name])
        return torch.zeros(1)

    measured = judge._gain(lambda: run('used'), lambda: run('other'))
    assert 1.5 < measured < 20
    assert turns == ['used', 'other'] * judge.ROUNDS


def test_other_metres_are_not_taken_however_fast(
        gain: Callable[[float], None], caplog: pytest.LogCaptureFixture) -> None:
    gain(9.0)
    assert judged(scaled(1.0005)) is not None
    assert judged(scaled(1.002)) is None
    assert judged(scaled(float('nan'))) is None
    assert ['other metres' in text for text in warnings_of(caplog)] == [True, True]


@pytest.mark.parametrize('text', ['no C++ compiler\nlong story', ''])
def test_a_backend_that_fails_is_a_warning(text: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
        raise RuntimeError(text)

    assert judged(Backend('broken', fail, copies=False)) is None
    warning, = warnings_of(caplog)
    assert 'broken cannot build the network for 96x64, batch 1' in warning
    assert (text.splitlines() or ['RuntimeError'])[0] in warning
    assert '\n' not in warning


def test_a_build_that_nobody_wants_any_more_fails_in_silence(
        caplog: pytest.LogCaptureFixture) -> None:
    def fail(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
        stop.set()
        raise RuntimeError('killed')

    assert judged(Backend('stopped', fail, copies=False)) is None
    assert not warnings_of(caplog)
