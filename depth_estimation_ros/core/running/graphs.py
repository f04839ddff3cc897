# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: the launches of a whole computation replayed as one, from one pool of memory."""

import logging
import math
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from .. import device_constants
from ..device_errors import first_line, is_out_of_memory, watched
from .guard import GUARD
from .shape import Size

LOGGER = logging.getLogger(__name__)

Function = Callable[[Tensor], tuple[Tensor, ...]]
"""What is captured: reads one tensor, returns others whose first dimension is the batch."""

PATIENCE = 0.02
"""Seconds to wait for the guard; whoever holds it longer is let go first, without a graph."""

WARM_UPS = 3
"""Runs before a capture, in which libraries choose their kernels and take their memory."""

RETRY = 60.0
"""Seconds after which what was too much for the memory is captured again."""

MOST = 16
"""Graphs that are kept at once; each holds its outputs and about a thousand nodes."""


class _Held:
    """What graphs own on a device, apart from them, so that it outlives them until it is freed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.graphs: list[Any] = []
        self.stream: Any = None

    def free_soon(self) -> None:
        """Destroy the graphs and return the stream once nobody captures."""
        if self.graphs or self.stream is not None:
            GUARD.run_soon(partial(_free, self.device, self.graphs, self.stream))
        self.graphs, self.stream = [], None


class Graphs:
    """
    Graphs that share one pool of memory. They are replayed on the caller's stream, one at a time.

    An output must be read, on the stream, before the next replay of any of them.
    """

    def __init__(self, device: torch.device) -> None:
        """Start with no graph."""
        self.device, self.enabled = device, True
        self.pool_bytes = 0
        """What the pool of memory took from the device."""
        self._pool: Any = None
        self._kept: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._without: dict[Hashable, tuple[object, float]] = {}
        """What could not be captured: its version, and until when that is not tried again."""
        self._holes = False
        """Whether the pool holds memory of graphs that are gone."""
        self._held = _Held(device)
        weakref.finalize(self, self._held.free_soon).atexit = False

    def run(self, key: Hashable, function: Function, inputs: Tensor, *, batch: int,
            version: object = None, capture: bool = True) -> tuple[Tensor, ...]:
        """
        Replay the graph of a key, captured at its first use; run the function where there is none.

        :param inputs: at most ``batch`` rows, on the device or pinned on the host.
        :param batch: the rows that are computed; what is missing is filled up.
        :param version: what ``function`` stands for; with another one it is captured anew.
        :param capture: whether it may be captured now.
        :return: what the function returns, ``batch`` rows of it.
        """
        graph = self._kept.get(key)
        if graph is not None and graph.version != version:
            self._drop([key])
            graph = None
        if graph is None and capture and self.enabled and self._may_work(key, version):
            graph = self._capture(key, function, self._on_device(inputs, batch), version)
        if graph is None:
            return function(self._on_device(inputs, batch))
        self._kept.move_to_end(key)
        return graph(inputs)

    def as_network(self, key: Hashable, network: Callable[[Tensor], Tensor]) -> Any:
        """Return a network that replays the graph of another one."""
        def graphed(pixels: Tensor) -> Tensor:
            return self.run(key, lambda frame: (network(frame),), pixels,
                            batch=len(pixels))[0].clone()
        return graphed

    @property
    def stream(self) -> Any:
        """The stream on which these graphs are captured."""
        if self._held.stream is None:
            self._held.stream = _take_stream(self.device)
        return self._held.stream

    def __contains__(self, key: Hashable) -> bool:
        """Return whether there is a graph of a key."""
        return key in self._kept

    def __len__(self) -> int:
        """Return the number of graphs."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """The device's memory that the graphs take: their pool and their inputs."""
        return self.pool_bytes + sum(graph.inputs.nbytes for graph in list(self._kept.values()))

    def release(self, size: Size) -> None:
        """Let go of the graphs of a network size; their memory stays for others of the pool."""
        self._drop([key for key in self._kept if getattr(key, 'size', None) == size])
        self._without = {key: failed for key, failed in self._without.items()
                         if getattr(key, 'size', None) != size}

    def compact(self) -> bool:
        """Let go of everything if that gives memory back; return whether it does."""
        if self._holes:
            self.clear()
            return True
        return False

    def clear(self) -> bool:
        """Let go of every graph and of the pool; return whether there was any."""
        had = bool(self._kept)
        self._drop(list(self._kept))
        return had

    def close(self) -> None:
        """Let go of everything for good."""
        self.enabled = False
        self.clear()
        self._held.free_soon()

    def _may_work(self, key: Hashable, version: object) -> bool:
        failed, until = self._without.get(key, (None, 0.0))
        return failed != version or monotonic() >= until

    def _on_device(self, inputs: Tensor, batch: int) -> Tensor:
        return filled(inputs.to(self.device, non_blocking=True), batch)

    def _drop(self, keys: list[Hashable]) -> None:
        dropped = [self._kept.pop(key) for key in keys]
        if not dropped:
            return
        self._held.graphs = [graph.graph for graph in self._kept.values()]
        self._holes = bool(self._kept)
        if not self._kept:  # torch refuses a pool that had graphs and has none any more
            self._pool, self.pool_bytes = None, 0
        GUARD.run_soon(partial(_free, self.device, [graph.graph for graph in dropped], None))

    def _capture(self, key: Hashable, function: Function, inputs: Tensor,
                 version: object) -> '_Graph | None':
        with GUARD.hold(PATIENCE) as held:
            if not held:
                return None
            try:
                with watched(self.device), GUARD.capture():
                    graph = self._captured(function, inputs, version)
            except (RuntimeError, AssertionError) as error:
                self._note(key, version, error)
                return None
        self._kept[key] = graph
        self._held.graphs.append(graph.graph)
        if len(self._kept) > MOST:
            self._drop([next(iter(self._kept))])
        return graph

    def _note(self, key: Hashable, version: object, error: Exception) -> None:
        """Remember a capture that failed; what is tried again and again is said once."""
        short, (failed, _) = is_out_of_memory(error), self._without.get(key, (None, 0.0))
        if key not in self._without or failed != version:
            LOGGER.warning('no CUDA graph for %s, it is served without: %s', key,
                           'out of memory' if short else first_line(error))
        self._without[key] = version, monotonic() + RETRY if short else math.inf

    def _captured(self, function: Function, inputs: Tensor, version: object) -> '_Graph':
        current = torch.cuda.current_stream(self.device)
        stream = self.stream
        pool = torch.cuda.graph_pool_handle() if self._pool is None else self._pool
        graph = torch.cuda.CUDAGraph()
        own = inputs.clone()
        torch.cuda.empty_cache()  # what another stream keeps, this one cannot take
        stream.wait_stream(current)
        try:
            with torch.cuda.stream(stream), device_constants.in_use() as constants:
                for _ in range(WARM_UPS):
                    function(own)
            torch.cuda.empty_cache()
            before = torch.cuda.memory_reserved(self.device)
            with torch.cuda.graph(graph, pool=pool, stream=stream,
                                  capture_error_mode='thread_local'):
                outputs = function(own)
        except BaseException:
            self._abandon(graph, pool)
            raise
        finally:
            torch.cuda.set_stream(current)  # which a capture that fails at its end does not do
        current.wait_stream(stream)
        self._pool = pool
        self.pool_bytes += max(torch.cuda.memory_reserved(self.device) - before, 0)
        return _Graph(graph, own, outputs, constants, version)

    def _abandon(self, graph: Any, pool: Any) -> None:
        """Undo what a capture that failed leaves in the allocator; use another pool from now."""
        index = self.device.index
        with suppress(RuntimeError):
            torch._C._cuda_endAllocateToPool(index, pool)
            torch._C._cuda_releasePool(index, pool)
        with suppress(RuntimeError):
            graph.reset()
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
        self._pool, self._holes = None, bool(self._kept)


class _Graph:
    """One captured computation with its input's and outputs' memory."""

    def __init__(self, graph: Any, inputs: Tensor, outputs: tuple[Tensor, ...],
                 constants: list[Any], version: object) -> None:
        self.graph, self.inputs, self.outputs = graph, inputs, outputs
        self.version = version
        self._constants = constants

    def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
        self.inputs[:len(inputs)].copy_(inputs, non_blocking=True)
        self.graph.replay()
        return self.outputs


def filled(inputs: Tensor, batch: int) -> Tensor:
    """Repeat the last input up to a batch."""
    missing = batch - len(inputs)
    more = inputs[-1:].expand(missing, *inputs.shape[1:])
    return torch.cat((inputs, more)) if missing else inputs


def _free(device: torch.device, graphs: list[Any], stream: Any) -> None:
    """Destroy graphs when the device has ended them; the stream is another's from then on."""
    torch.cuda.synchronize(device)
    for graph in graphs:
        graph.reset()
    torch.cuda.empty_cache()
    if stream is not None:
        _FREE_STREAMS.append((device, stream))


_FREE_STREAMS: list[tuple[torch.device, Any]] = []
"""Streams whose graphs are gone. cuBLAS keeps a workspace of some 32 MiB a stream for ever, so new
streams for each planner would leave some behind; and what may run at the same time must not share
one, or both would write to the same workspace."""


def _take_stream(device: torch.device) -> Any:
    for entry in _FREE_STREAMS:
        if entry[0] == device:
            _FREE_STREAMS.remove(entry)
            return entry[1]
    return torch.cuda.Stream(device)
