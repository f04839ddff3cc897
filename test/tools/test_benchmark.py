# SPDX-License-Identifier: Apache-2.0
"""The benchmark's rows are whole and honest, and its rivals do the same job as ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.preprocessing import Preprocessing
from depth_estimation_ros.tools.benchmark import bench, reference, rivals, tables
from depth_estimation_ros.tools.benchmark.__main__ import main
from depth_estimation_ros.tools.benchmark.bench import Case
from depth_estimation_ros.tools.benchmark.core import Plan, cases, measure_core
from depth_estimation_ros.tools.benchmark.device import MEBI, PeakMemory, operations
from depth_estimation_ros.tools.benchmark.images import textured
from depth_estimation_ros.tools.benchmark.plot import plot
from depth_estimation_ros.tools.benchmark.published import NETWORK_SIZES, PUBLISHED, cost
from depth_estimation_ros.tools.benchmark.reference import Reference
from depth_estimation_ros.tools.benchmark.rival_process import (
    RivalError,
    RivalProcess,
    save_images,
)
from depth_estimation_ros.tools.benchmark.rivals import ByHand
from depth_estimation_ros.tools.benchmark.turns import take_turns
from depth_estimation_ros.tools.gpu import correctness

torch.set_num_threads(1)  # more only get in each other's way with networks this small

FIELDS = {
    'model', 'device', 'size', 'batch', 'precision', 'ours_ms', 'network_ms', 'pipeline_ms',
    'by_hand_ms', 'ratio_pipeline', 'ratio_by_hand', 'fps', 'peak_mb', 'floor_ms', 'max_rel_diff',
}


def a_plan(**changes: Any) -> Plan:
    settings: dict[str, Any] = {
        'device': torch.device('cpu'), 'precisions': ['fp32'], 'models': ['tiny'],
        'sizes': ['96x72'], 'batches': [1, 2], 'repeats': 2, 'seconds': 60.0,
        'rival_python': Path(sys.executable)}
    return Plan(**{**settings, **changes})


@pytest.fixture(autouse=True, scope='module')
def _one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('OMP_NUM_THREADS', '1')
        yield


@pytest.fixture(scope='module')
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command line has written core.json."""
    folder = tmp_path_factory.mktemp('output')
    assert main(['--core', '--quick', '--device', 'cpu', '--backend', 'torch', '--sizes', '96x72',
                 '--batches', '1,2,3',
                 '--output', str(folder), '--rival-python', sys.executable]) == 0
    return folder


def read_rows(output: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((output / 'core.json').read_text())
    return rows


def test_a_row_holds_every_figure_and_the_same_metres(output: Path) -> None:
    rows = read_rows(output)
    assert [row['batch'] for row in rows] == [1, 2, 3]
    assert rows[2]['ratio_one_by_one'] > 0 and 'ratio_one_by_one' not in rows[0]
    for row in rows:
        assert row.keys() >= FIELDS
        assert row['max_rel_diff'] < 1e-4
        assert min(row[name] for name in ('ours_ms', 'network_ms', 'by_hand_ms', 'gflop')) > 0
        assert row['floor_ms'] is None  # the CPU's peak is not known
        assert row['ratio_by_hand'] == pytest.approx(row['by_hand_ms'] / row['ours_ms'], abs=0.01)
        assert row['transformers'].keys() >= {'ours', 'by_hand'}


def test_depth_that_is_flat_or_cut_off_is_far_from_the_reference(checkpoint: Path) -> None:
    exact, image = Reference(checkpoint, torch.device('cpu')), textured(96, 72)
    good, = exact.by_hand([image])
    assert exact.difference([image], [good], flip=False) == 0
    for wrong in (np.full_like(good, np.median(good)), np.minimum(good, np.percentile(good, 60))):
        assert exact.difference([image], [wrong], flip=False) > 3e-3


def test_the_pipeline_has_a_figure_or_a_reason(output: Path) -> None:
    row = read_rows(output)[0]
    if row['pipeline_ms'] is None:
        assert row['ratio_pipeline'] is None
        assert row['faults']['pipeline']
    else:
        assert row['transformers']['pipeline']


@pytest.mark.slow
def test_every_step_and_stage_is_measured(tmp_path: Path) -> None:
    assert main(['--steps', '--quick', '--device', 'cpu', '--sizes', '96x72', '--output',
                 str(tmp_path)]) == 0
    steps = {row['step']: row['ms'] for row in json.loads((tmp_path / 'steps.json').read_text())}
    assert next(iter(steps)) == 'network: transformers'
    assert {'before: ours', 'after: ours'} <= steps.keys()
    assert min(steps.values()) > 0


@pytest.mark.slow
def test_a_missing_model_and_spent_time_are_named() -> None:
    said: list[str] = []
    assert measure_core(a_plan(models=['/nowhere']), said.append) == []
    assert '/nowhere' in said[0]
    assert measure_core(a_plan(seconds=0.0), said.append) == []
    assert '--seconds' in said[-1]


@pytest.mark.parametrize(('name', 'millions'), [
    ('small', 24.8), ('base', 97.5), ('large', 335.3)])
def test_the_published_networks_are_of_their_published_size(name: str, millions: float) -> None:
    """Millions of parameters by the table in Depth Anything V2's README."""
    assert cost(name, (252, 336))['parameters_m'] == millions


def test_what_a_network_costs_is_reckoned_for_the_size_that_it_sees() -> None:
    small, large = (cost('small-252', NETWORK_SIZES[name]) for name in ('small-252', 'small'))
    assert small['network_size'] == '336x252' and large['gflop'] > 5 * small['gflop'] > 0
    for name, architecture in PUBLISHED.items():
        if 'DPT' in architecture.processor['image_processor_type']:
            settings = Preprocessing.from_config(architecture.processor)
            assert settings.padded(settings.resized(480, 640)) == NETWORK_SIZES[name], name


def test_the_full_model_gets_few_cases_on_a_cpu() -> None:
    plan = a_plan(sizes=['640x480', '1280x720'], batches=None)
    assert cases(plan, 'full') == [
        Case('640x480', 1), Case('1280x720', 1), Case('640x480', 2)]
    assert len(cases(plan, 'demo')) == 8


def test_a_rival_process_gives_the_metres_of_transformers_by_hand(
        checkpoint: Path, tmp_path: Path) -> None:
    images = [textured(96, 72, seed) for seed in range(2)]
    here = ByHand(str(checkpoint), 'cpu', 'fp32')(images[:1], flip=True)
    rival = RivalProcess(Path(sys.executable), 'by_hand', checkpoint, 'cpu', 'fp32')
    try:
        file = save_images(tmp_path, images)
        assert rival.time(file, 1, True, keep=tmp_path / 'depth.npy') > 0
    finally:
        rival.close()
    np.testing.assert_allclose(np.load(tmp_path / 'depth.npy')[0], here[0], rtol=1e-3)
    ours = DepthEstimator(EstimatorOptions(
        model=str(checkpoint), device='cpu', backend='torch'))
    np.testing.assert_allclose(ours.estimate(images[:1], flip=True)[0], here[0], rtol=1e-3)


def test_a_rival_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RivalError, match=r'nowhere'):
        RivalProcess(Path(sys.executable), 'by_hand', tmp_path / 'nowhere', 'cpu', 'fp32')


def test_contenders_take_turns_and_one_that_fails_stops_alone() -> None:
    calls: list[str] = []

    def contender(name: str) -> Callable[[], float]:
        def call() -> float:
            calls.append(name)
            if name == 'bad':
                raise RivalError('out of order')
            return 1000.0 + len(calls)
        return call

    times, faults = take_turns({name: contender(name) for name in ('a', 'bad', 'b')}, 2, 60.0)
    assert calls == ['a', 'bad', 'b', *['a', 'a', 'b', 'b'] * 2]
    assert times == {'a': [1005.0, 1009.0], 'b': [1007.0, 1011.0]}, 'the first does not count'
    assert faults == {'bad': 'out of order'}


def test_turns_end_when_the_time_is_spent() -> None:
    times, _ = take_turns({'a': lambda: 1000.0}, 1000, 0.0)
    assert len(times['a']) == 3


def test_a_short_call_is_made_in_bursts_whose_first_does_not_count() -> None:
    answers = iter([90.0, 50.0, 3.0, 4.0])
    times, _ = take_turns({'a': lambda: next(answers)}, 1, 60.0)
    assert times == {'a': [3.0, 4.0]}


def test_peak_memory_on_a_gpu_counts_what_graphs_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'reset_peak_memory_stats', lambda device: None)
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda device: 7 * MEBI)
    pool = [0]
    memory = PeakMemory(torch.device('cuda', 0), 2 * MEBI, lambda: pool[0])
    memory.over(lambda: pool.insert(0, 3 * MEBI))
    assert memory.mb == 5, 'a capture is in what torch allocated'
    memory.over(lambda: None)
    assert memory.mb == 8


def test_rivals_are_given_the_device_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    class StopError(Exception):
        pass

    given: list[str] = []

    def load(folder: str, device: str, precision: str) -> None:
        given.append(device)
        raise StopError

    def start(python: Path, rival: str, model: Path, device: str, precision: str) -> None:
        given.append(device)
        raise StopError

    second, here = torch.device('cuda', 1), Path()
    for module in (reference, bench, correctness):
        monkeypatch.setattr(module, 'ByHand', load)
    monkeypatch.setattr(bench, 'DepthEstimator', Mock())
    monkeypatch.setattr(bench, 'RivalProcess', start)
    opened = partial(bench.open_bench, here, second, rival_python=here, backend='torch',
                     compiles=False, say=print)
    for use in (lambda: Reference(here, second), lambda: correctness.correctness(
            here, second, True), opened(precision='fp16', reference=Mock()).__enter__,
            opened(precision='fp32', reference=Mock()).__enter__):
        with pytest.raises(StopError):
            use()
    assert given == ['cuda:1'] * 4


def test_the_table_says_where_float32_is_rounded(
        capsys: pytest.CaptureFixture[str], output: Path) -> None:
    rows = read_rows(output)
    assert rows[0]['tf32'] == {}, 'the CPU has none'
    tables.print_core([{**rows[0], 'tf32': {'by_hand': 'nowhere', 'pipeline': 'convolutions'}}])
    printed = capsys.readouterr().out
    assert 'by_hand: float32 rounded to TF32: nowhere' in printed
    assert 'pipeline: float32 rounded to TF32: convolutions' in printed


def test_tf32_is_told_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    assert rivals.tf32() == 'convolutions'
    with reference.exact_float32():
        assert rivals.tf32() == 'nowhere'


def test_images_are_the_same_for_the_same_seed() -> None:
    assert (textured(64, 48, 1) == textured(64, 48, 1)).all()
    assert textured(64, 48).std() > 20


def test_operations_are_those_of_the_products() -> None:
    class Product(torch.nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return pixel_values @ pixel_values
    assert operations(Product(), torch.ones(10, 10)) == 2 * 10**3


def test_peak_memory_sees_what_a_call_took() -> None:
    memory = PeakMemory(torch.device('cpu'), 0)
    memory.over(lambda: None)
    before = memory.mb
    memory.over(lambda: np.ones(2**28, np.uint8).sum())
    assert before is not None and memory.mb is not None
    assert memory.mb - before > 200


def test_a_plot_is_drawn_of_what_is_there(output: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        plot(tmp_path, tmp_path / 'plot.png')
    node = {'size': '640x480', 'rate_hz': 10, 'model': 'tiny', 'latency_p99_ms': 9.0}
    (tmp_path / 'ros.json').write_text(json.dumps([
        {**node, 'node': 'ours', 'latency_p50_ms': 5.0},
        {**node, 'node': 'naive', 'latency_p50_ms': None}]))
    (tmp_path / 'core.json').write_text((output / 'core.json').read_text())
    plot(tmp_path, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').stat().st_size > 10_000
