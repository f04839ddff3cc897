"""The training: it resumes where it stopped, and goes on from an exported model."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')

from training import evaluate
from training.export import export
from training.train import Options, Stage, Trainer


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """Two steps of one small image each."""
    monkeypatch.setattr(Options, 'stages', property(lambda self: (Stage(self.steps, 64, 96, 1),)))
    monkeypatch.setattr(evaluate, 'VALIDATION_SCENES', 1)
    return Options(out=tmp_path, export=None, start=None, low_steps=2, full_steps=0, seed=0,
                   learning_rate=1e-3, evaluate_every=2, threads=1, workers=0)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))


def test_it_trains_and_resumes_where_it_stopped(options: Options, tmp_path: Path) -> None:
    first = Trainer(options)
    start = [weight.clone() for weight in first.model.parameters()]
    first.run()
    assert first.step == first.samples == 2
    assert not all(map(torch.equal, start, first.model.parameters()))
    assert not same(first.model, first.average)
    resumed = Trainer(replace(options, low_steps=4))
    assert resumed.step == 2
    assert same(resumed.model, first.model) and same(resumed.average, first.average)
    resumed.run()
    assert resumed.step == 4 and len((tmp_path / 'curve.csv').read_text().splitlines()) == 3


def test_it_goes_on_from_an_exported_model(options: Options, tmp_path: Path) -> None:
    model = Trainer(options).model
    export(model, tmp_path / 'exported')
    other = Trainer(replace(options, seed=1, start=tmp_path / 'exported')).model
    for mine, exported in zip(other.parameters(), model.parameters()):
        assert mine.dtype == torch.float32 and torch.equal(mine, exported.half().float())
