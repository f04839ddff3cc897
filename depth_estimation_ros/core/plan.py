"""Everything that stays the same between frames of one network size, prepared once and kept."""

import logging
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .compilation import compile_beside
from .patches import codes, set_codes

LOGGER = logging.getLogger(__name__)

BUDGET_MB = 4096
"""The most memory in MiB that the kept constants of all network sizes may take together."""

Network = Callable[[Tensor], Tensor]
Key = tuple[int, int, int]
"""Batch, height and width of a network input."""


def forward(model: nn.Module, pixels: Tensor) -> Tensor:
    """
    Run a patched model in its own precision.

    :param pixels: float32, N×3×height×width, normalised.
    :return: float32 metres, N×height×width.
    """
    dtype = next(model.parameters()).dtype
    pixels = pixels.to(dtype=dtype, memory_format=torch.channels_last)
    depth: Tensor = model(pixels).predicted_depth
    return depth.float()


class Planner:
    """
    Runs a patched model, with a plan per (batch, height, width) that is built once and reused.

    A plan is the size's position codes, the compiled network where that was asked for and is
    faster, and on CUDA a graph of the whole forward pass. Sizes are kept, most recent last, while
    their codes fit the budget; so a size that flips back and forth is not rebuilt, and a size no
    longer used makes room.
    """

    def __init__(self, model: nn.Module, *, budget_mb: int = BUDGET_MB) -> None:
        """
        Take over a model.

        :param model: patched by :func:`.patches.patch`, on its device, in its precision.
        :param budget_mb: the memory in MiB for position codes; the newest size always stays.
        """
        self.model = model
        self.built = 0
        """How many times a size's constants were computed."""
        self._budget = budget_mb * 2**20
        self._codes: OrderedDict[tuple[int, int], list[Tensor | None]] = OrderedDict()
        self._installed: tuple[int, int] | None = None
        self._graphs: dict[Key, _Graph] = {}
        self.compiles = False
        """Whether to compile each plan in the background when it is first used."""
        self._compiled: dict[Key, Network | None] = {}

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """
        Run the network.

        :param pixels: float32, N×3×height×width, normalised, on the model's device.
        :return: float32 metres, N×height×width; read it before the next call.
        """
        batch, _, height, width = pixels.shape
        key = (batch, height, width)
        self._install(pixels[:1], (height, width))
        if self.compiles and key not in self._compiled:
            self._compile(key, pixels)
        network = self._compiled.get(key) or self._forward
        if pixels.device.type != 'cuda':
            return network(pixels)
        if key not in self._graphs or self._graphs[key].network != network:
            self._graphs[key] = _Graph(network, pixels)
        return self._graphs[key](pixels)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The network sizes (height, width) that are kept, the most recent last."""
        return list(self._codes)

    @property
    def bytes(self) -> int:
        """The memory that the kept position codes take."""
        return sum(code.untyped_storage().nbytes()
                   for size in self._codes.values() for code in size if code is not None)

    def _forward(self, pixels: Tensor) -> Tensor:
        return forward(self.model, pixels)

    def _compile(self, key: Key, pixels: Tensor) -> None:
        def swap(network: Network) -> None:
            self._compiled[key] = network

        self._compiled[key] = None
        compile_beside(self.model, forward, pixels, swap)

    def _install(self, pixels: Tensor, size: tuple[int, int]) -> None:
        if self._installed == size:
            return
        self._installed = None
        if size not in self._codes:
            set_codes(self.model, None)
            self._forward(pixels)
            self._codes[size] = codes(self.model)
            self.built += 1
        self._codes.move_to_end(size)
        set_codes(self.model, self._codes[size])
        self._installed = size
        self._evict()

    def _evict(self) -> None:
        while self.bytes > self._budget and len(self._codes) > 1:
            size, _ = self._codes.popitem(last=False)
            for kept in (self._graphs, self._compiled):
                for key in [key for key in kept if key[1:] == size]:
                    kept.pop(key)
            LOGGER.info('released the plan of network size %dx%d', size[1], size[0])


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
