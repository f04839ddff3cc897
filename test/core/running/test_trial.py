# SPDX-License-Identifier: Apache-2.0
"""Another network is taken when it gives the same metres in less time, and never else."""

from __future__ import annotations

import logging
from functools import partial
from threading import Event

import pytest
import torch
from torch import Tensor, nn

from depth_estimation_ros.core.backends import Backend, Network, forward
from depth_estimation_ros.core.running import trial
from depth_estimation_ros.core.running.trial import (
    FEWEST_ROUNDS,
    GAIN,
    ROUNDS,
    build_if_faster,
    measure_gain,
)

from ..conftest import always, noise, patched_model, scaled

SIZE = (64, 96)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING]


def tried(backend: Backend, gain: float = 9.0, stop: Event | None = None) -> Network | None:
    model = patched_model()
    return build_if_faster(backend, model, noise(1, *SIZE), partial(forward, model),
                           stop or Event(), measure=always(gain))


@pytest.mark.parametrize(('gain', 'taken'), [(GAIN, True), (GAIN - 0.01, False)])
def test_the_faster_network_is_taken(gain: float, taken: bool) -> None:
    assert (tried(scaled(1.0), gain) is not None) == taken


def test_the_gain_is_measured_in_turns() -> None:
    turns: list[str] = []

    def run(name: str, seconds: float, pixels: Tensor) -> Tensor:
        turns.append(name)
        Event().wait(seconds)
        return pixels

    gain = measure_gain(partial(run, 'used', 0.02), partial(run, 'other', 0.005), torch.zeros(1))
    assert 1.5 < gain < 20
    assert turns == ['used', 'other'] * ROUNDS


def test_what_disturbs_most_runs_does_not_decide() -> None:
    pauses = iter([0.06, 0.06, 0.005, 0.06, 0.06])

    def used(pixels: Tensor) -> Tensor:
        Event().wait(0.02)
        return pixels

    def other(pixels: Tensor) -> Tensor:
        Event().wait(next(pauses))
        return pixels

    assert measure_gain(used, other, torch.zeros(1)) > 1.5


def test_a_slow_network_too_has_several_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, 'SECONDS', 0.0)
    turns: list[str] = []

    def run(name: str, pixels: Tensor) -> Tensor:
        turns.append(name)
        return pixels

    measure_gain(partial(run, 'used'), partial(run, 'other'), torch.zeros(1))
    assert turns == ['used', 'other'] * FEWEST_ROUNDS


def test_other_metres_are_not_taken_however_fast(caplog: pytest.LogCaptureFixture) -> None:
    assert tried(scaled(1.0005)) is not None
    assert tried(scaled(1.002)) is None
    assert tried(scaled(float('nan'))) is None
    assert ['other metres' in text for text in warnings_of(caplog)] == [True, True]


@pytest.mark.parametrize('text', ['no C++ compiler\nlong story', ''])
def test_a_backend_that_fails_is_a_warning(text: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
        raise RuntimeError(text)

    assert tried(Backend('broken', fail, copies=False)) is None
    warning, = warnings_of(caplog)
    assert 'broken cannot build the network for 96x64, batch 1' in warning
    assert (text.splitlines() or ['RuntimeError'])[0] in warning
    assert '\n' not in warning


def test_a_build_that_nobody_wants_any_more_fails_in_silence(
        caplog: pytest.LogCaptureFixture) -> None:
    def fail(model: nn.Module, pixels: Tensor, stop: Event) -> Network:
        stop.set()
        raise RuntimeError('killed')

    assert tried(Backend('stopped', fail, copies=False)) is None
    assert not warnings_of(caplog)
