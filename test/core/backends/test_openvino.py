# SPDX-License-Identifier: Apache-2.0
"""OpenVINO for real: the same metres, also on a processor with AVX2 only."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from torch import nn

from depth_estimation_ros.core.backends import forward
from depth_estimation_ros.core.backends.export import write_graph
from depth_estimation_ros.core.backends.openvino import (
    compile_graph,
    load_openvino,
    openvino_backend,
)
from depth_estimation_ros.core.checkpoint import read_checkpoint
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.kernels import plain
from depth_estimation_ros.core.precision import MAX_DEVIATION, deviation
from depth_estimation_ros.core.running.planner import Planner

from ..conftest import always, noise, patched_model
from .conftest import same_metres

pytestmark = pytest.mark.skipif(
    find_spec('openvino') is None, reason='openvino is not installed')

ISA = 'ONEDNN_MAX_CPU_ISA'
"""What the plug-in takes a processor to be able to do, read once a process."""

with_avx2_only = pytest.mark.skipif(
    os.environ.get(ISA) != 'AVX2', reason='is run by test_a_processor_with_avx2_only')


def network_of(folder: Path) -> nn.Module:
    """Return the network of a checkpoint as the estimator serves it."""
    return load_family(read_checkpoint(str(folder))).network


@pytest.mark.parametrize(('batch', 'heads', 'bins'), [
    (1, 2, 'softplus'), pytest.param(3, 1, 'normed', marks=pytest.mark.slow)])
def test_openvino_gives_the_same_metres_and_reports_to_nobody(
        checkpoint_of: Callable[..., Path], caplog: pytest.LogCaptureFixture, batch: int,
        heads: int, bins: str) -> None:
    caplog.set_level(logging.INFO)
    model = network_of(checkpoint_of(heads, bins))
    network = openvino_backend(checkpoint_of(heads, bins)).build(
        model, noise(batch, 96, 128), Event())
    same_metres(network, model, batch)
    assert 'without snippets' not in caplog.text
    assert sys.modules['openvino_telemetry'] is None


def test_an_export_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r'config\.json cannot be read'):
        openvino_backend(tmp_path).build(patched_model(), noise(1, 96, 128), Event())


def test_an_export_that_nobody_wants_any_more_is_stopped(
        checkpoint_of: Callable[..., Path]) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(RuntimeError, match='the export was stopped by SIGKILL'):
        openvino_backend(checkpoint_of()).build(patched_model(), noise(1, 96, 128), stop)


@pytest.mark.slow
def test_openvino_is_built_while_frames_are_served(checkpoint_of: Callable[..., Path]) -> None:
    pixels = noise(1, 96, 128)
    planner = Planner(network_of(checkpoint_of()), backends=[openvino_backend(checkpoint_of())],
                      measure=always(2.0))
    expected = planner(pixels).clone()
    served = 0
    while planner.building:
        torch.testing.assert_close(planner(pixels), expected, rtol=1e-4, atol=0)
        served += 1
    assert served > 10 and planner.backend == 'openvino'
    planner.close()


@pytest.mark.slow
@pytest.mark.parametrize('batch', [1, 2, 4])
def test_the_demo_model_has_the_same_metres_in_every_batch(root: Path, batch: int) -> None:
    folder = root / 'models' / 'demo'
    pixels = noise(batch, 192, 256)
    model = network_of(folder)
    network = openvino_backend(folder).build(model, pixels, Event())
    with torch.inference_mode():
        expected = forward(model, pixels)
    torch.testing.assert_close(network(pixels), expected, rtol=1e-4, atol=0)


@pytest.mark.slow
def test_bf16_stays_near_fp32(root: Path) -> None:
    folder = root / 'models' / 'demo'
    pixels, model = noise(1, 96, 128), network_of(folder)
    with torch.inference_mode():
        exact = forward(model, pixels)
    depth = openvino_backend(folder, precision='bf16').build(model, pixels, Event())(pixels)
    assert deviation([depth.numpy()], [exact.numpy()]).within(MAX_DEVIATION)
    if torch.cpu._is_avx512_bf16_supported():  # else OpenVINO serves in fp32 all the same
        assert (depth - exact).abs().max() > 1e-4


@with_avx2_only
def test_a_graph_that_takes_too_many_registers_is_compiled_without_snippets(
        checkpoint_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(plain, 'EXPORTED_TOGETHER', 16)
    graph = tmp_path / 'network.xml'
    write_graph(checkpoint_of(), (1, 3, 96, 128), graph)
    with pytest.raises(RuntimeError, match='not enough registers'):
        load_openvino().Core().compile_model(
            graph, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    caplog.set_level(logging.INFO)
    same_metres(compile_graph(graph), network_of(checkpoint_of()))
    record, = caplog.records
    assert record.getMessage().endswith(
        "without snippets: Can't allocate registers for a snippet: not enough registers")


@pytest.mark.parametrize('tests', ['not slow', pytest.param('slow', marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_processor_with_avx2_only(tests: str) -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-m', tests, '-k',
         'metres or registers', __file__], env={**os.environ, ISA: 'AVX2'},
        capture_output=True, text=True)
    assert done.returncode == 0 and 'passed' in done.stdout, done.stdout


def test_threads_run_one_graph_at_the_same_time(tmp_path: Path) -> None:
    ov = load_openvino()
    graph = tmp_path / 'network.xml'
    program = torch.export.export(torch.nn.Conv2d(3, 8, 5), (noise(1, 96, 128),))
    ov.save_model(ov.convert_model(program), graph)
    network = compile_graph(graph)
    frames = [noise(1, 96, 128, seed) for seed in range(4)]
    alone = [network(frame) for frame in frames]
    same: list[bool] = []

    def run(number: int) -> None:
        for _ in range(20):
            same.append(torch.equal(network(frames[number]), alone[number]))

    threads = [Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(same) == 80 and all(same)
