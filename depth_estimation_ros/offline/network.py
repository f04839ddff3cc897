# SPDX-License-Identifier: Apache-2.0
"""The depth network as the commands use it: the only place that knows the estimator."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.device import resolve_device
from ..core.errors import DepthError
from ..core.estimator import DepthEstimator, EstimatorOptions
from ..core.families.base import Quantity
from ..core.frame import Frame
from ..core.maps import Maps, download, on_device
from ..core.validity import mark_range
from ..resources import model_folder
from .command import whole

Pixels = NDArray[np.uint8]
Depth = NDArray[np.float32]

BATCH_ON_CUDA, BATCH_ON_CPU = 8, 1
"""A batch gains nothing on a CPU, whose cores one image keeps busy."""


@dataclass(frozen=True)
class NetworkOptions:
    """What decides which depth comes out."""

    model: str = 'Intel/zoedepth-nyu-kitti'
    device: str = 'auto'
    precision: str = 'auto'
    backend: str = 'auto'
    height: int = 0
    width: int = 0
    near: float = 0.1
    """Metres; nearer depth is -Inf (REP 117)."""
    far: float = 0.0
    """Metres; farther depth is +Inf; 0 takes the model's range."""
    batch: int = 0
    """Images at once; 0 takes 8 on CUDA and 1 on a CPU."""


class Network:
    """A loaded model with the range that its depth is limited to."""

    def __init__(self, options: NetworkOptions) -> None:
        """
        Load the model.

        :raises DepthError: when it cannot be loaded or nothing is left of its range.
        """
        self.batch = options.batch or (
            BATCH_ON_CUDA if resolve_device(options.device).type == 'cuda' else BATCH_ON_CPU)
        self._estimator = DepthEstimator(EstimatorOptions(
            model=model_folder(options.model), device=options.device,
            precision=options.precision, backend=options.backend, height=options.height,
            width=options.width))
        self._near, self._far = options.near, options.far or self._estimator.range[1]
        self._settled: set[tuple[int, ...]] = set()
        if self._far <= self._near:
            self.close()
            raise DepthError(f'no depth lies between near ({self._near} m) and far '
                             f'({self._far} m)')

    def submit(self, images: Sequence[Frame]) -> Callable[[], list[Depth]]:
        """
        Begin to estimate; what is returned waits for the depth and is called once.

        :param images: each with its camera's focal length, where that is known.
        :raises DepthError: also for a model whose numbers are not metres.
        """
        for quantity in map(self._estimator.quantity_of, images):
            if quantity is not Quantity.METRES:
                raise DepthError(f'{self._estimator.loaded.name} gives {quantity.value}, not '
                                 'metres: name a metric model by --model')
        return partial(self._finished, self._estimator.submit(images))

    def _finished(self, wait: Callable[[], list[Maps]]) -> list[Depth]:
        found = wait()
        with on_device(self._estimator.device):
            marked = [Maps(mark_range(each.depth, self._near, self._far)) for each in found]
        return [each.depth for each in download(marked)()]

    def settle(self, images: Sequence[Pixels]) -> None:
        """
        Wait for the networks that are built for images of new sizes.

        Depth would change in its last digits where a faster network takes over within a
        recording, and a second run could not repeat it.
        """
        for image in images:
            if image.shape not in self._settled:
                self._settled.add(image.shape)
                self._estimator.estimate([image])
                self._estimator.settle()

    def close(self) -> None:
        """Release the device."""
        self._estimator.close()


def gpus_here(device: str) -> int:
    """Return how many GPUs of this machine a network may run on."""
    if device == 'cpu':
        return 0
    return 1 if ':' in device else torch.cuda.device_count()


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of :class:`NetworkOptions` to a command's."""
    default = NetworkOptions()
    group = parser.add_argument_group('network')
    group.add_argument('--model', default=default.model,
                       help=f'hub id, folder, or demo; by default {default.model}')
    group.add_argument('--device', default=default.device, help='auto, cpu, cuda or cuda:N')
    group.add_argument('--precision', default=default.precision,
                       choices=['auto', 'fp32', 'bf16', 'fp16'])
    group.add_argument('--backend', default=default.backend, choices=['auto', 'torch', 'openvino'])
    group.add_argument('--height', type=whole, default=0, help='rows that the network sees')
    group.add_argument('--width', type=whole, default=0, help='columns that the network sees')
    group.add_argument('--near', type=float, default=default.near, help='metres')
    group.add_argument('--far', type=float, default=default.far,
                       help="metres; 0 takes the model's range")
    group.add_argument('--batch', type=whole, default=0,
                       help='images at once; 0 takes 8 on CUDA, 1 on a CPU')


def network_options(options: argparse.Namespace) -> NetworkOptions:
    """Return what the command line says of the network."""
    given: dict[str, Any] = {name: getattr(options, name)
                             for name in NetworkOptions.__dataclass_fields__}
    return NetworkOptions(**given)
