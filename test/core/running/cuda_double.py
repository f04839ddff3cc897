# SPDX-License-Identifier: Apache-2.0
"""torch.cuda as far as graphs need it, played on the CPU by the rules that a real device enforces.

A captured graph holds the operations that ran meanwhile and replays these, not the Python around
them. A synchronisation, an ``empty_cache`` or the end of a graph during a capture is noted as a
violation, and spoils the capture. A pool whose graphs are all gone cannot be captured into again.
"""

from __future__ import annotations

from collections import Counter
from threading import get_ident
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device('cpu')


class Recorder(TorchDispatchMode):
    """Keeps each operation with what it read and gave."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    def again(self) -> None:
        for func, args, kwargs, result in self.calls:
            fresh = func(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(fresh), strict=True):
                if isinstance(old, torch.Tensor) and old is not new:
                    old.copy_(new)


class Stream:
    made = 0

    def __init__(self, device: Any = None) -> None:
        type(self).made += 1
        self.waited: list[Any] = []

    def wait_stream(self, other: Any) -> None:
        self.waited.append(other)


class Cuda:
    """The state of the device; put in place by :func:`install`."""

    def __init__(self) -> None:
        self.default = self.current = Stream()
        self.pools: Counter[int] = Counter()
        """Graphs by pool; one that is there with none is dead."""
        self.underway: list[int] = []
        self.capturing: int | None = None
        """The thread that captures."""
        self.spoilt = False
        self.violations: list[str] = []
        self.alive: set[Any] = set()
        self.replays = self.captures = 0
        self.reserved = 0
        self.graph_bytes = 1000
        self.fail_in_body: Exception | None = None
        self.fail_at_end: Exception | None = None
        Stream.made = 0

    def disturb(self, what: str) -> None:
        if self.capturing is not None:
            self.violations.append(what)
            self.spoilt = True


class Graph:
    cuda: Cuda

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.pool: int | None = None

    def begin(self, pool: int) -> None:
        cuda = self.cuda
        assert pool not in cuda.pools or cuda.pools[pool] > 0, 'INTERNAL ASSERT use_count > 0'
        assert cuda.capturing is None, 'two captures at once'
        cuda.pools[pool] += 1
        cuda.underway.append(pool)
        cuda.capturing, cuda.spoilt, self.pool = get_ident(), False, pool
        self.recorder.__enter__()

    def end(self) -> None:
        cuda = self.cuda
        self.recorder.__exit__(None, None, None)
        cuda.capturing = None
        if cuda.fail_at_end is not None or cuda.spoilt:
            self.pool = None
            raise cuda.fail_at_end or RuntimeError('CUDA error: capture invalidated')
        assert self.pool is not None
        cuda.underway.remove(self.pool)
        cuda.alive.add(self)
        cuda.captures += 1
        cuda.reserved += cuda.graph_bytes

    def replay(self) -> None:
        assert self in self.cuda.alive, 'a graph that is gone'
        self.cuda.replays += 1
        self.recorder.again()

    def reset(self) -> None:
        self.cuda.disturb('reset')
        self.recorder.calls.clear()
        self.cuda.alive.discard(self)
        if self.pool is not None:
            self.cuda.pools[self.pool] -= 1
            self.pool = None


def install(patch: pytest.MonkeyPatch) -> Cuda:
    """Put a double in the place of torch.cuda until the test ends."""
    cuda = Cuda()

    class Capture:
        def __init__(self, graph: Graph, *, pool: int, stream: Stream,
                     capture_error_mode: str) -> None:
            assert capture_error_mode == 'thread_local'
            self.graph, self.pool, self.stream = graph, pool, stream

        def __enter__(self) -> None:
            cuda.disturb('synchronize')
            self.before, cuda.current = cuda.current, self.stream
            self.graph.begin(self.pool)
            if cuda.fail_in_body is not None:
                self.graph.end()
                cuda.current = self.before
                raise cuda.fail_in_body

        def __exit__(self, *_: object) -> None:
            self.graph.end()  # where this raises the stream stays, as torch has it
            cuda.current = self.before

    class On:
        def __init__(self, stream: Stream) -> None:
            self.stream = stream

        def __enter__(self) -> None:
            self.before, cuda.current = cuda.current, self.stream

        def __exit__(self, *_: object) -> None:
            cuda.current = self.before

    pools = iter(range(10**6))

    def end_allocate(index: Any, pool: int) -> None:
        if pool not in cuda.underway:
            raise RuntimeError('not currently recording to mempool_id')
        cuda.underway.remove(pool)

    def release_pool(index: Any, pool: int) -> None:
        cuda.pools[pool] -= 1

    for name, value in {
            'Stream': Stream, 'CUDAGraph': type('CUDAGraph', (Graph,), {'cuda': cuda}),
            'graph': Capture, 'stream': On, 'graph_pool_handle': lambda: next(pools),
            'current_stream': lambda device=None: cuda.current,
            'set_stream': lambda stream: setattr(cuda, 'current', stream),
            'synchronize': lambda device=None: cuda.disturb('synchronize'),
            'empty_cache': lambda: cuda.disturb('empty_cache'),
            'set_device': lambda device: None,
            'memory_reserved': lambda device=None: cuda.reserved}.items():
        patch.setattr(torch.cuda, name, value)
    patch.setattr(torch._C, '_cuda_endAllocateToPool', end_allocate, raising=False)
    patch.setattr(torch._C, '_cuda_releasePool', release_pool, raising=False)
    return cuda
