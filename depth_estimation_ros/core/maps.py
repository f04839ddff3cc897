# SPDX-License-Identifier: Apache-2.0
"""What a device has of a frame, and its way to the host."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device import end_of_work, fetched
from .device_errors import watched
from .frame import Prediction

K = TypeVar('K', bound=Hashable)
"""What tensors are told apart by."""

Values = NDArray[np.float32]
"""A tensor's numbers on the host."""

Map = Tensor
"""float32, one number for each pixel, H×W, on the device; for those who know no torch."""


class Maps(NamedTuple):
    """
    What is estimated of one frame, on the device that estimated it.

    They are torch's inference tensors: whoever works on them does so within :func:`on_device`.
    """

    depth: Map
    """float32, H×W of the image."""
    confidence: Map | None = None
    """As that of :class:`~.frame.Prediction`."""


@contextmanager
def on_device(device: torch.device) -> Iterator[None]:
    """
    Work on maps, without gradients, until the end of the block.

    :raises DeviceLostError: when the device answers no call any more.
    """
    with torch.inference_mode(), watched(device):
        yield


def to_host(maps: Maps) -> Maps:
    """Return maps in the host's memory, where a device has too little of its own."""
    return Maps(maps.depth.cpu(), None if maps.confidence is None else maps.confidence.cpu())


def fetch(values: Mapping[K, Tensor | None]) -> Callable[[], dict[K, Values]]:
    """
    Begin to bring tensors to the host, and return what waits for them; those of None are left out.

    Of a CPU's tensors the arrays are the same memory.

    :raises DeviceLostError: as what is returned does, when the device answers no call any more.
    """
    there = {name: each for name, each in values.items() if each is not None}
    host: dict[K, Tensor] = {}
    waits = []
    for device in {each.device for each in there.values()}:
        with on_device(device):
            host |= {name: fetched(each) for name, each in there.items() if each.device == device}
            waits.append((device, end_of_work(device)))

    def arrive() -> dict[K, Values]:
        for device, wait in waits:
            with watched(device):
                wait()
        return {name: each.numpy() for name, each in host.items()}
    return arrive


def download(found: Sequence[Maps]) -> Callable[[], list[Prediction]]:
    """Begin to bring maps to the host, and return what waits for them, as :func:`fetch`."""
    wait = fetch({(number, name): values for number, maps in enumerate(found)
                  for name, values in maps._asdict().items()})

    def arrive() -> list[Prediction]:
        host = wait()
        return [Prediction(host[number, 'depth'], host.get((number, 'confidence')))
                for number in range(len(found))]
    return arrive
