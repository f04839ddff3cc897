"""Compilation beside the work: swapped in when it is faster, and never in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from depth_estimation_ros.core import compilation
from depth_estimation_ros.core.compilation import GAIN, compile_beside
from depth_estimation_ros.core.plan import Planner, forward

from .conftest import noise, patched_model

PATIENCE = 60.0


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A compiler that changes nothing but adds one metre; the list holds what it was given."""
    given: list[Any] = []

    def compiled(function: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
        given.append(options)
        return lambda *args: function(*args) + 1

    monkeypatch.setattr(torch, 'compile', compiled)
    return given


def swapped(gain: float, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[Tensor], Tensor]]:
    """Compile a model that gains so much speed; return what was swapped in."""
    monkeypatch.setattr(compilation, '_gain', lambda plain, compiled: gain)
    taken: list[Callable[[Tensor], Tensor]] = []
    thread = compile_beside(patched_model(), forward, noise(1, 64, 96), taken.append)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return taken


def test_a_faster_network_is_swapped_in(
        compiler: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    network, = swapped(GAIN, monkeypatch)
    with torch.inference_mode():
        expected = forward(patched_model(), noise(1, 64, 96)) + 1
        torch.testing.assert_close(network(noise(1, 64, 96)), expected)
    assert compiler == [{'dynamic': False, 'fullgraph': True}]


def test_a_network_that_is_not_faster_is_not_used(
        compiler: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert swapped(GAIN - 0.01, monkeypatch) == []


@pytest.mark.parametrize('text', ['no C++ compiler\nlong story', ''])
def test_a_compiler_that_fails_is_a_warning(
        text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: Any) -> Tensor:
        raise RuntimeError(text)

    monkeypatch.setattr(torch, 'compile', lambda function, **options: fail)
    assert swapped(9.0, monkeypatch) == []
    record, = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert '96x64, batch 1 failed, it runs uncompiled' in record.getMessage()
    assert (text.splitlines() or ['RuntimeError'])[0] in record.getMessage()
    assert '\n' not in record.getMessage()


def test_frames_are_served_while_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[tuple[Any, ...]] = []
    monkeypatch.setattr('depth_estimation_ros.core.plan.compile_beside',
                        lambda *job: jobs.append(job))
    planner, pixels = Planner(patched_model()), noise(1, 64, 96)
    planner.compiles = True
    plain = planner(pixels).clone()
    assert torch.equal(planner(pixels), plain) and len(jobs) == 1
    jobs[0][-1](lambda frame: plain + 1)
    assert torch.equal(planner(pixels), plain + 1)
    assert planner(noise(2, 64, 96)).shape == (2, 64, 96) and len(jobs) == 2


def test_nothing_is_compiled_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('depth_estimation_ros.core.plan.compile_beside',
                        lambda *job: pytest.fail('it compiles'))
    Planner(patched_model())(noise(1, 64, 96))
