# SPDX-License-Identifier: Apache-2.0
"""Faster networks, built beside the work for the shapes in use."""

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, RLock
from typing import Any

import torch
from torch import Tensor, nn

from ..backends import Backend, Network, forward
from ..families.recorded import position_encodings, set_position_encodings
from .builder import Builder
from .constants import Constants, Encodings, model_bytes
from .graphs import Graphs
from .guard import GUARD
from .shape import Shape, Size
from .trial import Measure, build_if_faster, measure_gain

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What serves a shape."""

    name: str
    """The backend's name."""
    network: Network | None
    """What it built; None for torch itself."""
    bytes: int
    """The memory that it holds beside the model's."""


TORCH = Choice('torch', None, 0)


class BuiltNetworks:
    """The networks that backends built, by shape; a size that is released takes its own along."""

    def __init__(self, constants: Constants, backends: Sequence[Backend],
                 room: Callable[[], float], *, in_parts: bool,
                 measure: Measure = measure_gain) -> None:
        """
        Start with none.

        :param room: tells how many bytes all of them may hold.
        :param in_parts: whether a batch is put together of networks for 1, 2, 4 … images.
        :param measure: what tells how many times faster another network is.
        """
        self.backends, self._in_parts = backends, in_parts
        self._constants, self._room, self._measure = constants, room, measure
        self._builder = Builder()
        self._pending: set[Shape] = set()
        self._chosen: dict[Shape, Choice] = {}
        self._lock = RLock()
        """The builder's thread and the caller's both change what is chosen."""

    def prepare(self, shape: Shape, pixels: Callable[[], Tensor]) -> None:
        """
        Have the backends build for a shape, or for its parts.

        :param pixels: gives an input of the shape.
        """
        with self._lock:
            new = [part for part in (shape.parts if self._in_parts else [shape])
                   if part not in self._chosen and part not in self._pending]
            self._pending.update(new if self.backends else ())
        for part in new if self.backends else ():
            self._builder.submit(partial(self._choose, part, pixels()[:part.batch].clone()))

    def prepare_size(self, size: Size) -> None:
        """Compute a size's encodings and build for one image of it, all beside the work."""
        self._builder.submit(partial(self._compute, size))

    def network(self, shape: Shape) -> Network | None:
        """Return what was built for a shape, or for the parts that add up to it."""
        own = self._chosen.get(shape, TORCH).network
        if own is not None or not self._in_parts:
            return own
        parts = {part.batch: self._chosen.get(part, TORCH).network for part in shape.parts}
        built = {batch: network for batch, network in parts.items() if network is not None}
        return partial(_in_parts, built) if 1 in built else None

    def name(self, shape: Shape) -> str:
        """Return the name of what serves a shape: 'torch', or a backend's."""
        names = [self._chosen.get(each, TORCH).name for each in (shape, shape.single)]
        return next((name for name in names if name != TORCH.name), TORCH.name)

    @property
    def bytes(self) -> int:
        """The memory that the built networks hold beside the model's."""
        with self._lock:
            return sum(choice.bytes for choice in self._chosen.values())

    @property
    def busy(self) -> bool:
        """Whether a network is being built."""
        return self._builder.busy

    def settle(self, timeout: float | None) -> bool:
        """Wait until nothing is being built; return whether that came within ``timeout`` s."""
        return self._builder.settle(timeout)

    def release(self, size: Size) -> None:
        """Let go of what was built for a size."""
        with self._lock:
            for shape in [shape for shape in self._chosen if shape.size == size]:
                self._chosen.pop(shape)

    def close(self) -> None:
        """Build nothing any more, let go of what was built."""
        self._builder.close()
        with self._lock:
            self._chosen.clear()

    @torch.inference_mode()
    def _compute(self, size: Size, stop: Event) -> None:
        pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        if self._constants.of(size) is None:
            model = private_copy(self._constants.model, None)
            forward(model, pixels)
            self._constants.offer(size, position_encodings(model))
            LOGGER.info('ready for images at network size %dx%d', size[1], size[0])
        self.prepare(Shape(1, *size), lambda: pixels)

    def _choose(self, shape: Shape, pixels: Tensor, stop: Event) -> None:
        """Keep the fastest network that a backend builds for a shape; the builder's job."""
        kept = self._constants.of(shape.size)
        try:
            if kept is not None:
                model = private_copy(self._constants.model, kept)
                for backend in self.backends:
                    self._try(backend, shape, model, pixels, stop)
        finally:
            self._keep(shape, self._chosen.get(shape, TORCH))
            self._pending.discard(shape)

    def _try(self, backend: Backend, shape: Shape, model: nn.Module, pixels: Tensor,
             stop: Event) -> None:
        held = model_bytes(model) if backend.copies else 0
        if held and held > self._room() - self.bytes:
            LOGGER.info('%s is not tried for %s: its %.0f MiB do not fit the budget',
                        backend.name, shape, held / 2**20)
            return
        used = self.network(shape) or partial(forward, model)
        trial = _trial_on_cuda if pixels.is_cuda else build_if_faster
        network = trial(backend, model, pixels, used, stop, measure=self._measure)
        if network is not None:
            self._keep(shape, Choice(backend.name, network, held))

    def _keep(self, shape: Shape, choice: Choice) -> None:
        """Serve a shape by a choice from now on, if its size is still kept."""
        with self._lock:
            if self._constants.of(shape.size) is not None:
                self._chosen[shape] = choice


def private_copy(model: nn.Module, encodings: Encodings | None) -> Any:
    """Return a copy of a model that shares its weights, with the encodings of a size, or none."""
    shared = [*model.parameters(), *model.buffers(),
              *(code for values in (position_encodings(model), encodings or []) for code in values
                if code is not None)]
    copy = deepcopy(model, {id(tensor): tensor for tensor in shared})
    set_position_encodings(copy, encodings)
    return copy


@torch.inference_mode()
def _trial_on_cuda(backend: Backend, model: nn.Module, pixels: Tensor, used: Network,
                   stop: Event, *, measure: Measure) -> Network | None:
    """Compare graph with graph, on a stream of their own, while nobody else captures."""
    device = pixels.device
    built: list[Network] = []
    with GUARD.hold():
        torch.cuda.set_device(device)
        graphs = Graphs(device)

        def build(*job: Any) -> Network:
            built.append(backend.build(*job))
            graphed: Network = graphs.as_network('built', built[0])
            return graphed

        graphs.stream.wait_stream(torch.cuda.current_stream(device))
        try:
            with torch.cuda.stream(graphs.stream):
                better = build_if_faster(
                    replace(backend, build=build), model, pixels,
                    graphs.as_network('used', used), stop, measure=measure)
        finally:
            graphs.close()
    return None if better is None else built[0]


def _in_parts(networks: dict[int, Network], pixels: Tensor) -> Tensor:
    """Run a batch through networks for smaller ones, by the number of images that they take."""
    done = []
    while len(pixels):
        batch = max(batch for batch in networks if batch <= len(pixels))
        done.append(networks[batch](pixels[:batch]))
        pixels = pixels[batch:]
    return torch.cat(done)
