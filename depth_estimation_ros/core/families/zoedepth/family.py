# SPDX-License-Identifier: Apache-2.0
"""ZoeDepth: metres, by one or two metric heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import ZoeDepthForDepthEstimation

from ...checkpoint import Checkpoint
from ...errors import CheckpointError
from ...frame import Frame
from ...weights import load_model
from ..base import Family, Quantity, Size
from . import patch
from .transforms import Preprocessing, Transforms


class ZoeDepth:
    """One checkpoint."""

    quantity = Quantity.METRES
    native = True
    per_frame = False
    needs_prompt = False

    def __init__(self, network: Any, preprocessing: Preprocessing,
                 ranges: list[tuple[float, float]]) -> None:
        """Take a network, and the range in metres of each of its heads."""
        self.network: nn.Module = network
        self.float32 = float32_parts(network)
        self._ranges = ranges
        self.range: tuple[float, float] | None = (
            min(near for near, _ in ranges), max(far for _, far in ranges))
        self.domains: tuple[str, ...] = network.metric_head.domains
        network.metric_head.tells_routing = True
        self._transforms = Transforms(preprocessing)

    def size(self, height: int, width: int) -> Size:
        """Return the size at which the network sees an image; :raises ImageError: if it cannot."""
        return Size(*self._transforms.settings.network_size(height, width))

    def inputs(self, image: Tensor, frame: Frame) -> Tensor:
        """Return the normalised pixels, float32, 3×height×width."""
        return self._transforms.to_network(image, self.size(*image.shape[:2]))

    def mirrored(self, inputs: Tensor) -> Tensor:
        """Return a batch of inputs as those of the mirrored images."""
        return inputs.flip(-1)

    def result(self, values: Tensor, frame: Frame) -> Tensor:
        """Bring the network's metres to the image's size, without the padding."""
        height, width = frame.image.shape[:2]
        return self._transforms.to_depth(values, height, width)

    def pin(self, domain: str) -> None:
        """Send every image to one head, and release the others' weights and the router."""
        head: Any = self.network.metric_head
        head.pin(self.domains.index(domain))
        self.range = self._ranges[self.domains.index(domain)]

    def routed(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Part metres from the row below them that says which head each image prefers."""
        head: Any = self.network.metric_head
        return (values, None) if head.router is None else (values[:, :-1], values[:, -1, 0] - 1)

    @contextmanager
    def through(self, head: int) -> Iterator[None]:
        """Send every image to one head, whatever it prefers."""
        metric_head: Any = self.network.metric_head
        metric_head.forced = head
        try:
            yield
        finally:
            metric_head.forced = None

    def quantity_of(self, frame: Frame) -> Quantity:
        """Return metres."""
        return self.quantity

    def magnification(self, height: int, width: int) -> float | None:
        """Return how many of the network's pixels one of an image's becomes along x."""
        margin = self._transforms.settings.margin(width)
        return self.size(height, width).width / (width + 2 * margin)


def zoedepth(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint.

    :param height: rows that the network sees; 0 follows the width.
    :param width: columns, likewise; both 0 take the checkpoint's own.
    :raises CheckpointError: when it cannot be loaded.
    """
    preprocessing = read_preprocessing(checkpoint)
    model = load_model(ZoeDepthForDepthEstimation, checkpoint)
    ranges = _ranges(model.config)
    return ZoeDepth(patch(model), preprocessing.sized(height, width), ranges)


def float32_parts(network: Any) -> tuple[str, ...]:
    """Return the names of a patched network's parts that stay in float32 at low precision."""
    head: nn.Module = network.metric_head
    parts = (*head.named_children(), *head.named_buffers(recurse=False))
    return tuple(f'metric_head.{name}' for name, _ in parts if name != 'router')


def read_preprocessing(checkpoint: Checkpoint) -> Preprocessing:
    """Return a checkpoint's preprocessing; :raises CheckpointError: where it is not ZoeDepth's."""
    try:
        return Preprocessing.from_config(checkpoint.preprocessor)
    except CheckpointError as error:
        raise CheckpointError(f"'{checkpoint.folder}' cannot be used: {error}") from error


def _ranges(config: Any) -> list[tuple[float, float]]:
    """Return each head's range; :raises ValueError: where their sizes differ."""
    bins = {head['n_bins'] for head in config.bin_configurations}
    if len(bins) > 1:
        raise ValueError(f'n_bins is {" and ".join(map(str, sorted(bins)))} in '
                         'bin_configurations: only heads of one number of bins are supported')
    return [(float(head['min_depth']), float(head['max_depth']))
            for head in config.bin_configurations]
