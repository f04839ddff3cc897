# SPDX-License-Identifier: Apache-2.0
"""The training: it resumes where it stopped, and goes on from an exported model."""

import csv
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('torch')
pytest.importorskip('transformers')

import torch

from training import evaluate, train
from training.dataset import Batches
from training.export import export
from training.model import make_model, router_parameters
from training.options import Options, Stage, parse_options
from training.train import Trainer, learning_rate, make_optimizer


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """Two steps of one small image each."""
    monkeypatch.setattr(Options, 'stages', property(
        lambda self: (Stage(self.full_steps if self.seconds is None else None, 64, 96, 1),)))
    monkeypatch.setattr(evaluate, 'VALIDATION_SCENES', 1)
    evaluate.validation_samples.cache_clear()
    return Options(out=tmp_path, full_steps=2, evaluate_every=2, workers=0, thin=True)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / 'curve.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def test_it_trains_and_resumes_where_it_stopped(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Trainer(options)
    start = [weight.clone() for weight in first.model.parameters()]
    first.run()
    assert first.step == first.samples == 2
    assert not all(map(torch.equal, start, first.model.parameters()))
    assert not same(first.model, first.average)
    spent = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)['seconds']
    monkeypatch.setattr(time, 'monotonic', lambda: 1000.0)
    resumed = Trainer(replace(options, full_steps=4))
    assert resumed.step == 2 and resumed.seconds == pytest.approx(spent) and spent > 0
    assert same(resumed.model, first.model) and same(resumed.average, first.average)
    resumed.run()
    assert resumed.step == 4 and [row['step'] for row in rows(tmp_path)] == ['2', '4']
    assert all(float(row['routed']) in (0, 1) for row in rows(tmp_path))


def test_it_goes_on_from_an_exported_model(options: Options, tmp_path: Path) -> None:
    model = Trainer(options).model
    export(model, tmp_path / 'exported')
    other = Trainer(replace(options, seed=1, start=tmp_path / 'exported')).model
    for mine, exported in zip(other.parameters(), model.parameters()):
        assert mine.dtype == torch.float32 and torch.equal(mine, exported.half().float())


def test_it_stops_and_evaluates_when_the_time_is_up(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that shows one second more a step, since only the step count is asked here."""
    monkeypatch.setattr(Trainer, 'seconds', property(lambda self: float(self.step)))
    trainer = Trainer(replace(options, seconds=3.0, thin=False))
    trainer.run()
    assert trainer.step == 3 and [row['step'] for row in rows(tmp_path)] == ['2', '3']


def test_the_rate_warms_up_and_falls_with_the_progress() -> None:
    assert learning_rate(0, 0.0) == pytest.approx(1 / 150)
    assert learning_rate(74, 0.0) == pytest.approx(0.5)
    assert learning_rate(1000, 0.5) == pytest.approx(0.01 + 0.99 * 0.5)
    assert learning_rate(1000, 1.0) == pytest.approx(0.01)
    falling = [learning_rate(1000, part / 20) for part in range(21)]
    assert falling == sorted(falling, reverse=True)


def test_progress_goes_by_the_clock_where_there_is_one() -> None:
    steps = Options(low_steps=100, full_steps=300)
    assert steps.progress(200, seconds=1e9) == 0.5 and steps.progress(500, 0) == 1
    clock = Options(seconds=60)
    assert clock.progress(10**9, seconds=15) == 0.25 and clock.progress(0, 61) == 1


def test_the_router_has_a_lower_rate_of_its_own(options: Options) -> None:
    model = make_model(0)
    optimizer = make_optimizer(model, replace(options, learning_rate=1e-3, router_rate=0.1))
    router = {id(weight) for weight in router_parameters(model)}
    seen = []
    for group in optimizer.param_groups:
        for weight in group['params']:
            seen.append(id(weight))
            assert group['highest'] == pytest.approx(1e-4 if id(weight) in router else 1e-3)
            assert (group['weight_decay'] > 0) == (weight.ndim > 1)
    assert sorted(seen) == sorted(id(weight) for weight in model.parameters())


def test_a_training_step_moves_the_router_less(options: Options) -> None:
    """AdamW's first step is as long as the rate, whatever the gradient."""
    trainer = Trainer(replace(options, full_steps=1, router_rate=0.1))
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.run()
    highest = {routes: max(float((weight.detach() - before[name]).abs().max())
                           for name, weight in trainer.model.named_parameters()
                           if weight.ndim == 1 and weight.grad is not None
                           and ('patch_transformer' in name or 'mlp_class' in name) == routes)
               for routes in (True, False)}
    rate = options.learning_rate * learning_rate(0, 0.0)
    assert math.isclose(highest[False], rate, rel_tol=0.1)
    assert math.isclose(highest[True], 0.1 * rate, rel_tol=0.1)


def test_the_command_line_has_an_option_a_field() -> None:
    assert parse_options(None, []) == Options()
    options = parse_options(None, ['--seconds', '90', '--thin', '--export', 'there'])
    assert options == Options(seconds=90.0, thin=True, export=Path('there'))


@pytest.fixture
def trainer(options: Options, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Without dropout, the head of the batch's own kind, nothing mirrored."""
    monkeypatch.setattr(train, 'CHANCES', torch.tensor([0.0, 0.0]))
    trainer = Trainer(replace(options, thin=False))
    trainer.model.eval()
    return trainer


@torch.no_grad()
def test_a_step_trains_on_the_mirrored_batch(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = next(iter(Batches(0, 1, 64, 96)))
    plain, other = trainer._loss(batch), trainer._loss(batch.mirrored())
    monkeypatch.setattr(train, 'CHANCES', torch.tensor([0.0, 1.0]))
    assert trainer._loss(batch) == other != plain


@torch.no_grad()
def test_each_weight_has_its_part_in_the_loss(trainer: Trainer) -> None:
    batch, options = next(iter(Batches(0, 1, 64, 96))), trainer.options
    before = trainer._loss(batch)
    for weight in ('object_weight', 'gradient_weight', 'router_weight'):
        heavier: dict[str, Any] = {weight: 9.0}
        trainer.options = replace(options, **heavier)
        assert abs(trainer._loss(batch) - before) > 1e-3, weight
