# SPDX-License-Identifier: Apache-2.0
"""Runs a network: with what stays the same between frames, in the fastest form there is."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..backends import Backend, Network, device_of, forward
from .building import TORCH, BuiltNetworks
from .constants import Constants
from .graphs import Function, Graphs, filled
from .room import Room, left
from .shape import MAX_GRAPH_BATCH, FrameShape, Shape, Size, padded
from .trial import Measure, measure_gain

LOGGER = logging.getLogger(__name__)

BUDGET_MB = {'cpu': 4096, 'cuda': 3584}
"""The most memory in MiB that what is kept for all network sizes may take together."""

MOST_SEEN = 256
"""Shapes of frames of which is remembered that they came once."""


class Stages(NamedTuple):
    """What happens to frames of one size before and after the network, all on the device."""

    before: Callable[[Tensor], Tensor]
    """From uint8 images, N×H×W×3, to the network's input."""
    after: Callable[[Tensor], tuple[Tensor, ...]]
    """From the network's metres to what is wanted of each image."""


class Planner:
    """
    Runs a patched model, with a plan per (batch, height, width) that is built once and reused.

    A plan is the size's position encodings, the fastest network that a backend could build for the
    shape, and on CUDA a graph of the whole forward pass. Sizes are kept, most recent last, while
    they fit the budget; so a size that flips back and forth is not rebuilt, and a size no longer
    used makes room; one that does not fit beside those in use is served without a plan. On CUDA
    batches are padded to 1, 2, 4 or 8 images. On the CPU, where batches gain little, networks are
    built for 1, 2, 4 … images and others put together of these, so that
    a changing number of cameras costs few of them.
    """

    def __init__(self, model: nn.Module, *, budget_mb: float | None = None,
                 backends: Sequence[Backend] = (), graphs: Graphs | None = None,
                 measure: Measure = measure_gain) -> None:
        """
        Take over a model.

        :param model: a family's network, on its device, in its precision.
        :param budget_mb: the memory in MiB for encodings, graphs and built networks; what the
            newest size needs always stays.
        :param backends: what to build, beside the work, when a shape is first used.
        :param graphs: where to capture; None captures on CUDA and nowhere else.
        :param measure: what tells how many times faster a built network is.
        """
        self.model = model
        device = device_of(model)
        if graphs is None and device.type == 'cuda':
            graphs = Graphs(device)
        self.graphs = graphs
        budget = (BUDGET_MB.get(device.type, 0) if budget_mb is None else budget_mb) * 2**20
        self._constants = Constants(model)
        self._built = BuiltNetworks(
            self._constants, backends, partial(left, budget, self._constants, graphs),
            in_parts=graphs is None, measure=measure)
        self._served: Shape | None = None
        self._seen: dict[FrameShape, None] = {}
        self._room = Room(budget, self._constants, self._built, graphs)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """
        Run the network.

        :param pixels: float32, N×3×height×width, normalised, on the model's device.
        :return: float32, what the network gives; read it before the next call.
        """
        if self.graphs is not None and len(pixels) > MAX_GRAPH_BATCH:
            return torch.cat([self(part).clone() for part in pixels.split(MAX_GRAPH_BATCH)])
        shape = self._served = self._shape(pixels)
        if not self.prepare(pixels):
            return self._constants.without(lambda: self._forward(pixels))
        network = self._built.network(shape) or self._forward
        if self.graphs is None:
            return network(pixels)
        metres, = self._captured(shape, lambda frame: (network(frame),), pixels, network)
        return metres[:len(pixels)]

    @torch.inference_mode()
    def plain(self, pixels: Tensor) -> Tensor:
        """Run the model itself, without a graph or a built network, as it is at this moment."""
        if not self._room.install(self._shape(pixels), lambda: pixels[:1]):
            return self._constants.without(lambda: self._forward(pixels))
        return self._forward(pixels)

    @torch.inference_mode()
    def run_frames(self, images: Tensor, size: Size, stages: Stages, *,
                   per_image: int = 1) -> tuple[Tensor, ...]:
        """
        Run images of one size from their pixels to what is wanted of them.

        From the second time on that a shape comes, all of it is one graph.

        :param images: uint8 RGB, N×H×W×3, on the device or pinned on the host.
        :param size: the network's.
        :param stages: the same for the same sizes of image and network, and ``per_image``.
        :param per_image: how many of the network's inputs an image becomes.
        :return: what the stages return, the first N of each; read it before the next call.
        """
        batch = padded(len(images))
        shape = FrameShape(batch, (images.shape[1], images.shape[2]),
                           Shape(batch * per_image, *size))
        known = shape in self._seen and self._room.install(
            shape.network, lambda: stages.before(images[:1].to(device_of(self.model)))[:1])
        if not known or not self._room.may_capture(shape):
            self._observe(shape)
            pixels = stages.before(images.to(device_of(self.model), non_blocking=True))
            return stages.after(self(pixels))
        self._served = shape.network
        network = self._built.network(shape.network) or self._forward
        done = self._captured(
            shape, lambda frames: stages.after(network(stages.before(frames))), images, network)
        return tuple(each[:len(images)] for each in done)

    @torch.inference_mode()
    def prepare(self, pixels: Tensor) -> bool:
        """
        Install the encodings for an input's shape, have the backends build for it.

        :return: False where they do not fit beside those of the sizes in use.
        """
        shape = self._shape(pixels)
        fits = self._room.install(shape, lambda: pixels[:1])
        if fits:
            self._built.prepare(shape, lambda: filled(pixels, shape.batch))
        return fits

    def prepare_size(self, size: Size) -> None:
        """
        Make ready for images of a network size before one comes, beside the work; returns at once.

        Any thread may call it. With graphs nothing is done: there a new size costs little.
        """
        if self.graphs is None:
            self._built.prepare_size(size)

    @property
    def backends(self) -> Sequence[Backend]:
        """What is built, beside the work, when a shape is first used."""
        return self._built.backends

    @backends.setter
    def backends(self, backends: Sequence[Backend]) -> None:
        self._built.backends = backends

    @property
    def built(self) -> int:
        """How many times a size's encodings were computed."""
        return self._constants.built

    @property
    def sizes(self) -> list[Size]:
        """The network sizes (height, width) that are kept, the most recent last."""
        return self._constants.sizes

    @property
    def bytes(self) -> int:
        """The memory that the kept encodings, graphs and built networks take."""
        return self._room.bytes

    @property
    def backend(self) -> str:
        """What serves inputs like the last: 'torch', or a backend's name."""
        return TORCH.name if self._served is None else self._built.name(self._served)

    @property
    def building(self) -> bool:
        """Whether a backend is building a network."""
        return self._built.busy

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being built; return whether that came within ``timeout`` s."""
        return self._built.settle(timeout)

    @property
    def captures(self) -> bool:
        """Whether new graphs are captured."""
        return self.graphs is not None and self.graphs.enabled

    @captures.setter
    def captures(self, enabled: bool) -> None:
        if self.graphs is not None:
            self.graphs.enabled = enabled

    def release_graphs(self) -> bool:
        """Give the graphs' memory back; return whether there were any."""
        return self.graphs is not None and self.graphs.clear()

    def close(self) -> None:
        """Build nothing any more, and let go of everything on the device but the weights."""
        self._built.close()
        if self.graphs is not None:
            self.graphs.close()
        self.forget()

    def forget(self) -> None:
        """Let go of what is kept of every size; it is made anew where one comes again."""
        for size in self.sizes:
            self._room.release(size)
        self._seen.clear()

    def _forward(self, pixels: Tensor) -> Tensor:
        return forward(self.model, pixels)

    def _shape(self, pixels: Tensor) -> Shape:
        batch = len(pixels) if self.graphs is None else padded(len(pixels))
        return Shape(batch, *pixels.shape[2:])

    def _captured(self, key: Shape | FrameShape, function: Function, inputs: Tensor,
                  network: Network) -> tuple[Tensor, ...]:
        """Replay a graph; where capturing it was too much for the budget, keep nothing of it."""
        assert self.graphs is not None
        before = self.graphs.pool_bytes
        done = self.graphs.run(key, function, inputs, batch=key[0], version=network,
                               capture=self._room.may_capture(key))
        self._room.captured(key, self.graphs.pool_bytes - before)
        return done

    def _observe(self, shape: FrameShape) -> None:
        self._seen[shape] = None
        if len(self._seen) > MOST_SEEN:
            self._seen.pop(next(iter(self._seen)))
