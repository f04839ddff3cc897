"""Everything that stays the same between frames of one network size, prepared once and kept."""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from threading import Event, RLock
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .backends import Backend, Network, forward
from .builder import Builder
from .families.zoedepth import position_encodings, set_position_encodings
from .judge import faster

LOGGER = logging.getLogger(__name__)

BUDGET_MB = 4096
"""The most memory in MiB that what is kept for all network sizes may take together."""


class Shape(NamedTuple):
    """Of a network's input."""

    batch: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def single(self) -> 'Shape':
        """The shape of one image of the batch."""
        return Shape(1, *self.size)

    @property
    def parts(self) -> 'list[Shape]':
        """The shapes of 1, 2, 4 … images up to the batch, which add up to any batch."""
        return [Shape(1 << bit, *self.size) for bit in range(self.batch.bit_length())]


@dataclass(frozen=True)
class Choice:
    """What serves a shape."""

    name: str
    """Of the backend."""
    network: Network | None
    """What it built; None for torch itself."""
    bytes: int
    """The memory that it holds beside the model's."""


TORCH = Choice('torch', None, 0)


class Planner:
    """
    Runs a patched model, with a plan per (batch, height, width) that is built once and reused.

    A plan is the size's position encodings, the fastest network that a backend could build for the
    shape, and on CUDA a graph of the whole forward pass. Sizes are kept, most recent last, while
    they fit the budget; so a size that flips back and forth is not rebuilt, and a size no longer
    used makes room. On the CPU, where batches gain little, networks are built for 1, 2, 4 … images
    and others put together of these, so that a changing number of cameras costs few of them.
    """

    def __init__(self, model: nn.Module, *, budget_mb: float = BUDGET_MB,
                 backends: Sequence[Backend] = ()) -> None:
        """
        Take over a model.

        :param model: patched by :func:`.families.zoedepth.patch`, on its device, in its precision.
        :param budget_mb: the memory in MiB for position encodings and built networks; the newest
            size's encodings always stay.
        :param backends: what to build, beside the work, when a shape is first used.
        """
        self.model = model
        self.backends = backends
        self.built = 0
        """How many times a size's constants were computed."""
        self._budget = budget_mb * 2**20
        self._codes: OrderedDict[tuple[int, int], list[Tensor | None]] = OrderedDict()
        self._installed: tuple[int, int] | None = None
        self._graphs: dict[Shape, _Graph] = {}
        self._builder = Builder()
        self._pending: set[Shape] = set()
        self._chosen: dict[Shape, Choice] = {}
        self._lock = RLock()
        """Of what the builder's thread and the caller's both change: choices, and sizes kept."""
        self._served: Shape | None = None

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """
        Run the network.

        :param pixels: float32, N×3×height×width, normalised, on the model's device.
        :return: float32 metres, N×height×width; read it before the next call.
        """
        shape = self._served = self.prepare(pixels)
        network = self._faster(shape) or self._forward
        if pixels.device.type != 'cuda':
            return network(pixels)
        if shape not in self._graphs or self._graphs[shape].network != network:
            self._graphs[shape] = _Graph(network, pixels)
        return self._graphs[shape](pixels)

    @torch.inference_mode()
    def prepare(self, pixels: Tensor) -> Shape:
        """Install an input's encodings, have the backends build for its shape; return that."""
        shape = Shape(len(pixels), *pixels.shape[2:])
        self._install(pixels[:1], shape.size)
        if self.backends:
            self._build(shape, pixels)
        return shape

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The network sizes (height, width) that are kept, the most recent last."""
        return list(self._codes)

    @property
    def bytes(self) -> int:
        """The memory that the kept position encodings and built networks take."""
        with self._lock:
            return (sum(map(_code_bytes, self._codes.values()))
                    + sum(choice.bytes for choice in self._chosen.values()))

    @property
    def backend(self) -> str:
        """What serves inputs like the last: 'torch', or a backend's name."""
        shapes = [] if self._served is None else [self._served, self._served.single]
        names = [self._chosen.get(shape, TORCH).name for shape in shapes]
        return next((name for name in names if name != TORCH.name), TORCH.name)

    @property
    def building(self) -> bool:
        """Whether a backend is building a network."""
        return self._builder.busy

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being built; return whether that came within ``timeout`` s."""
        return self._builder.settle(timeout)

    def close(self) -> None:
        """Build nothing any more."""
        self._builder.close()

    def _forward(self, pixels: Tensor) -> Tensor:
        return forward(self.model, pixels)

    def _faster(self, shape: Shape) -> Network | None:
        """Return what was built for a shape, or on the CPU for the parts that add up to it."""
        own = self._chosen.get(shape, TORCH).network
        if own is not None or next(self.model.parameters()).is_cuda:
            return own
        parts = {part.batch: self._chosen.get(part, TORCH).network for part in shape.parts}
        built = {batch: network for batch, network in parts.items() if network is not None}
        return partial(_in_parts, built) if 1 in built else None

    def _build(self, shape: Shape, pixels: Tensor) -> None:
        """Have the backends build for a shape, on the CPU for its parts."""
        for part in shape.parts if pixels.device.type == 'cpu' else (shape,):
            if part not in self._chosen and part not in self._pending:
                self._pending.add(part)
                self._builder.submit(partial(self._choose, part, pixels[:part.batch].clone()))

    def _choose(self, shape: Shape, pixels: Tensor, stop: Event) -> None:
        """Keep the fastest network that a backend builds for a shape; the builder's job."""
        model = self._twin(shape.size)
        try:
            for backend in self.backends if model is not None else ():
                self._try(backend, shape, model, pixels, stop)
        finally:
            self._take(shape, self._chosen.get(shape, TORCH))
            self._pending.discard(shape)

    def _try(self, backend: Backend, shape: Shape, model: nn.Module, pixels: Tensor,
             stop: Event) -> None:
        held = _bytes(model) if backend.copies else 0
        if held and held > self._budget - self.bytes:
            LOGGER.info('%s is not tried for %dx%d, batch %d: its %.0f MiB do not fit the budget',
                        backend.name, shape.width, shape.height, shape.batch, held / 2**20)
            return
        if pixels.is_cuda:
            torch.cuda.set_device(pixels.device)
        used = self._faster(shape) or partial(forward, model)
        network = faster(backend, model, pixels, used, stop)
        if network is not None:
            self._take(shape, Choice(backend.name, network, held))

    def _take(self, shape: Shape, choice: Choice) -> None:
        """Serve a shape by a choice from now on, if its size is still kept."""
        with self._lock:
            if shape.size in self._codes:
                self._chosen[shape] = choice

    def _twin(self, size: tuple[int, int]) -> Any:
        """Return a private copy of the model at a size, None if that is not kept."""
        with self._lock:
            kept = self._codes.get(size)
        if kept is None:
            return None
        shared = [*self.model.parameters(), *self.model.buffers(),
                  *(code for values in (position_encodings(self.model), kept) for code in values
                    if code is not None)]
        twin = deepcopy(self.model, {id(tensor): tensor for tensor in shared})
        set_position_encodings(twin, kept)
        return twin

    def _install(self, pixels: Tensor, size: tuple[int, int]) -> None:
        if self._installed == size:
            return
        self._installed = None
        if size not in self._codes:
            set_position_encodings(self.model, None)
            self._forward(pixels)
            with self._lock:
                self._codes[size] = position_encodings(self.model)
            self.built += 1
        with self._lock:
            self._codes.move_to_end(size)
        set_position_encodings(self.model, self._codes[size])
        self._installed = size
        self._evict()

    def _evict(self) -> None:
        while self.bytes > self._budget and len(self._codes) > 1:
            with self._lock:
                size, _ = self._codes.popitem(last=False)
                for kept in (self._graphs, self._chosen):
                    for shape in [shape for shape in kept if shape.size == size]:
                        kept.pop(shape)
            LOGGER.info('released the plan of network size %dx%d', size[1], size[0])


def _code_bytes(values: Iterable[Tensor | None]) -> int:
    return sum(code.untyped_storage().nbytes() for code in values if code is not None)


def _bytes(model: nn.Module) -> int:
    return (sum(weight.nbytes for weight in model.parameters())
            + _code_bytes(position_encodings(model)))


def _in_parts(networks: dict[int, Network], pixels: Tensor) -> Tensor:
    """Run a batch through networks for smaller ones, by the number of images that they take."""
    done = []
    while len(pixels):
        batch = max(batch for batch in networks if batch <= len(pixels))
        done.append(networks[batch](pixels[:batch]))
        pixels = pixels[batch:]
    return torch.cat(done)


class _Graph:
    """The forward pass of one batch and size, captured as a CUDA graph with buffers of its own."""

    def __init__(self, network: Network, pixels: Tensor) -> None:
        self.network = network
        self._input = pixels.clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                network(self._input)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode='thread_local'):
            self._output = network(self._input)

    def __call__(self, pixels: Tensor) -> Tensor:
        self._input.copy_(pixels)
        self._graph.replay()
        return self._output
