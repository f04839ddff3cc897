# SPDX-License-Identifier: Apache-2.0
"""Graphs: one pool, one stream, captured once, never in the way of each other, all given back."""

from __future__ import annotations

import gc
import logging
import time
from threading import Event, Thread

import pytest
import torch
from torch import Tensor

from depth_estimation_ros.core import device_constants, device_errors
from depth_estimation_ros.core.errors import DeviceLostError
from depth_estimation_ros.core.running import graphs as module
from depth_estimation_ros.core.running.graphs import MOST, RETRY, WARM_UPS, Graphs
from depth_estimation_ros.core.running.guard import GUARD
from depth_estimation_ros.core.running.shape import Shape

from .cuda_double import DEVICE, Cuda, Stream
from .test_guard import PATIENCE, Holder

KEY, OTHER = Shape(2, 3, 3), Shape(2, 9, 9)


class Double:
    """A function that counts how often Python ran it."""

    def __init__(self, factor: float = 2.0) -> None:
        self.factor, self.runs = factor, 0

    def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
        self.runs += 1
        return (inputs * self.factor,)


@pytest.fixture
def graphs(cuda: Cuda) -> Graphs:
    return Graphs(DEVICE)


def run(graphs: Graphs, function: Double, value: float = 1.0, *, key: Shape = KEY,
        rows: int = 2, version: object = None) -> list[float]:
    outputs, = graphs.run(key, function, torch.full((rows, 3), value), batch=2, version=version)
    assert outputs.shape == (2, 3)
    return [float(row[0]) for row in outputs]


@pytest.fixture(autouse=True)
def _inference() -> object:
    with torch.inference_mode():
        yield


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING]


def test_a_graph_is_captured_once_and_replayed_on_new_inputs(cuda: Cuda, graphs: Graphs) -> None:
    function = Double()
    assert run(graphs, function, 1.0) == [2.0, 2.0]
    assert run(graphs, function, 5.0) == [10.0, 10.0]
    assert function.runs == WARM_UPS + 1 and (cuda.captures, cuda.replays) == (1, 2)


def test_a_smaller_batch_is_filled_up(cuda: Cuda, graphs: Graphs) -> None:
    assert run(graphs, Double(), 3.0, rows=1) == [6.0, 6.0]
    assert run(graphs, Double(), 4.0, rows=1)[0] == 8.0
    assert cuda.captures == 1


def test_all_graphs_share_one_pool_and_one_stream(cuda: Cuda, graphs: Graphs) -> None:
    made = Stream.made
    for key in (KEY, OTHER, Shape(1, 5, 5)):
        run(graphs, Double(), key=key)
    assert list(cuda.pools.values()) == [3] and Stream.made == made + 1
    assert graphs.pool_bytes == 3 * cuda.graph_bytes < graphs.bytes


def test_another_version_is_captured_anew(cuda: Cuda, graphs: Graphs) -> None:
    assert run(graphs, Double(2.0), version='a') == [2.0, 2.0]
    assert run(graphs, Double(3.0), version='b') == [3.0, 3.0]
    assert len(graphs) == len(cuda.alive) == 1


def test_once_all_are_gone_another_pool_is_taken(cuda: Cuda, graphs: Graphs) -> None:
    run(graphs, Double())
    assert graphs.clear() and not graphs.clear()
    assert graphs.bytes == 0 and not cuda.alive
    assert run(graphs, Double()) == [2.0, 2.0]
    assert sorted(cuda.pools.values()) == [0, 1]


@pytest.mark.parametrize('where', ['fail_in_body', 'fail_at_end'])
def test_a_capture_that_fails_is_one_warning_and_leaves_everything_as_it_was(
        cuda: Cuda, graphs: Graphs, caplog: pytest.LogCaptureFixture, where: str) -> None:
    run(graphs, Double(), key=OTHER)
    setattr(cuda, where, RuntimeError('CUDA error: operation not permitted\nmore'))
    function = Double()
    assert [run(graphs, function, value) for value in (1.0, 2.0)] == [[2.0] * 2, [4.0] * 2]
    assert warnings_of(caplog) == [f'no CUDA graph for {KEY}, it is served without: '
                                   'CUDA error: operation not permitted']
    assert cuda.current is cuda.default and not cuda.underway and gc.isenabled()
    assert list(cuda.pools.values()) == [1]
    setattr(cuda, where, None)
    assert run(graphs, Double(), 7.0, key=OTHER) == [14.0] * 2
    assert run(graphs, Double(), key=Shape(1, 1, 1)) == [2.0] * 2
    assert len(graphs) == 2
    graphs.close()
    assert not cuda.alive and set(cuda.pools.values()) == {0}


def test_what_fails_is_tried_again_in_another_version(
        cuda: Cuda, graphs: Graphs, caplog: pytest.LogCaptureFixture) -> None:
    cuda.fail_at_end = RuntimeError('CUDA error: no')
    run(graphs, Double(), version='a')
    cuda.fail_at_end = None
    run(graphs, Double(), version='a')
    assert cuda.captures == 0
    run(graphs, Double(), version='b')
    assert cuda.captures == 1 and len(warnings_of(caplog)) == 1


def test_out_of_memory_while_warming_serves_without(
        cuda: Cuda, graphs: Graphs, caplog: pytest.LogCaptureFixture) -> None:
    class Tight(Double):
        def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
            if cuda.current is not cuda.default:
                raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
            return super().__call__(inputs)

    assert run(graphs, Tight()) == [2.0, 2.0]
    warning, = warnings_of(caplog)
    assert warning.endswith('out of memory')
    assert cuda.captures == 0 and cuda.current is cuda.default


def test_what_was_too_much_for_the_memory_is_captured_a_minute_later(
        cuda: Cuda, graphs: Graphs, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    cuda.fail_at_end = torch.OutOfMemoryError('CUDA out of memory.')
    run(graphs, Double())
    monkeypatch.setattr(module, 'monotonic', lambda: time.monotonic() + RETRY)
    assert run(graphs, Double()) == [2.0, 2.0] and len(warnings_of(caplog)) == 1
    cuda.fail_at_end = None
    run(graphs, Double())
    assert cuda.captures == 0, 'it failed just now'
    monkeypatch.setattr(module, 'monotonic', lambda: time.monotonic() + 2 * RETRY)
    assert run(graphs, Double()) == [2.0, 2.0] and cuda.captures == 1


def test_a_device_that_is_lost_in_a_capture_is_named(
        cuda: Cuda, graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda.fail_at_end = RuntimeError('CUDA error: an illegal memory access was encountered')
    monkeypatch.setattr(device_errors, 'is_alive', lambda device: False)
    with pytest.raises(DeviceLostError, match='illegal memory access'):
        run(graphs, Double())


def test_while_another_thread_holds_the_guard_frames_are_served_without(
        cuda: Cuda, graphs: Graphs, caplog: pytest.LogCaptureFixture) -> None:
    holder = Holder(GUARD)
    assert run(graphs, Double()) == [2.0, 2.0] and cuda.captures == 0
    holder.release()
    assert run(graphs, Double()) == [2.0, 2.0] and cuda.captures == 1
    assert not warnings_of(caplog)


def test_graphs_are_not_destroyed_while_another_thread_captures(cuda: Cuda) -> None:
    old, new = Graphs(DEVICE), Graphs(DEVICE)
    run(old, Double())
    captured, go_on = Event(), Event()

    class Slow(Double):
        def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
            if cuda.capturing is not None:
                captured.set()
                go_on.wait(PATIENCE)
            return super().__call__(inputs)

    def capture() -> None:
        with torch.inference_mode():
            run(new, Slow(), key=OTHER)

    thread = Thread(target=capture)
    thread.start()
    assert captured.wait(PATIENCE)
    old.close()
    assert len(cuda.alive) == 1, 'destroyed at once'
    go_on.set()
    thread.join(PATIENCE)
    assert len(cuda.alive) == 1 == len(new) and cuda.captures == 2


def test_the_collector_destroys_nothing_during_a_capture(cuda: Cuda) -> None:
    lost, keeper = [Graphs(DEVICE)], Graphs(DEVICE)
    run(lost[0], Double())

    class Forgetful(Double):
        def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
            if cuda.capturing is not None and lost:
                lost.clear()
                gc.collect()
                assert len(cuda.alive) == 1
            return super().__call__(inputs)

    run(keeper, Forgetful(), key=OTHER)
    assert not lost and len(cuda.alive) == 1 == len(keeper)


def test_what_nobody_closed_is_destroyed_by_the_guard(cuda: Cuda) -> None:
    lost = Graphs(DEVICE)
    run(lost, Double())
    del lost
    gc.collect()
    assert not cuda.alive and set(cuda.pools.values()) == {0}


def test_a_hundred_rebuilds_leave_no_graph_no_pool_and_no_further_stream(cuda: Cuda) -> None:
    made = Stream.made
    current = Graphs(DEVICE)
    run(current, Double())
    for _ in range(100):
        successor = Graphs(DEVICE)
        run(successor, Double())
        current.close()
        current = successor
    assert len(cuda.alive) == 1 and sorted(cuda.pools.values())[-2:] == [0, 1]
    assert Stream.made == made + 2
    current.close()
    assert run(current, Double()) == [2.0, 2.0] and not cuda.alive


def test_living_graphs_never_share_a_stream(cuda: Cuda) -> None:
    several = [Graphs(DEVICE) for _ in range(3)]
    assert len({id(graphs.stream) for graphs in several}) == 3
    several[0].close()
    assert Graphs(DEVICE).stream not in [graphs.stream for graphs in several[1:]]


def test_no_more_than_so_many_are_kept(cuda: Cuda, graphs: Graphs) -> None:
    for side in range(MOST + 3):
        run(graphs, Double(), key=Shape(2, side, side))
    assert len(graphs) == len(cuda.alive) == MOST


def test_a_size_that_is_released_leaves_memory_only_a_new_pool_gives_back(
        cuda: Cuda, graphs: Graphs) -> None:
    run(graphs, Double())
    run(graphs, Double(), key=OTHER)
    assert not graphs.compact()
    graphs.release(KEY.size)
    assert len(cuda.alive) == 1 and graphs.pool_bytes == 2 * cuda.graph_bytes
    assert graphs.compact() and graphs.bytes == 0
    run(graphs, Double(), key=OTHER)
    assert graphs.pool_bytes == cuda.graph_bytes and not graphs.compact()


def test_constants_that_were_read_in_a_capture_live_as_long_as_the_graph(
        cuda: Cuda, graphs: Graphs) -> None:
    @device_constants.device_constant
    def table(size: int) -> Tensor:
        return torch.full((size,), 3.0)

    def function(inputs: Tensor) -> tuple[Tensor, ...]:
        return (inputs * table(3),)

    graphs.run(KEY, function, torch.ones(2, 3), batch=2)
    used = table(3)
    device_constants.forget()
    assert table(3) is not used
    kept = graphs._kept[KEY]._constants
    assert any(constant is used for constant in kept)
    outputs, = graphs.run(KEY, function, torch.ones(2, 3), batch=2)
    assert torch.equal(outputs, torch.full((2, 3), 3.0))
