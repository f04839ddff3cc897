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

from .device_errors import watched
from .frame import Prediction

K = TypeVar('K', bound=Hashable)

Values = NDArray[np.float32]

Map = Tensor
"""One number for each pixel, H×W, on the device; for those who know no torch."""


class Maps(NamedTuple):
    """What is estimated of one frame, on the device that estimated it."""

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
    return Maps(*(None if each is None else each.cpu() for each in maps))  # type: ignore[arg-type]


def fetch(values: Mapping[K, Tensor | None]) -> Callable[[], dict[K, Values]]:
    """
    Begin to bring tensors to the host, and return what waits for them; those of None are left out.

    Of a CPU's tensors the arrays are the same memory.

    :raises DeviceLostError: as what is returned does, when the device answers no call any more.
    """
    there = {name: each for name, each in values.items() if each is not None}
    with torch.inference_mode():
        host = {name: _fetched(each) for name, each in there.items()}
    events = [_recorded(device) for device in {each.device for each in there.values()}
              if device.type == 'cuda']

    def wait() -> dict[K, Values]:
        for device, event in events:
            with watched(device):
                event.synchronize()
        return {name: each.numpy() for name, each in host.items()}
    return wait


def download(found: Sequence[Maps]) -> Callable[[], list[Prediction]]:
    """Begin to bring maps to the host, and return what waits for them, as :func:`fetch`."""
    wait = fetch({(number, name): values for number, maps in enumerate(found)
                  for name, values in maps._asdict().items()})

    def arrive() -> list[Prediction]:
        host = wait()
        return [Prediction(host[number, 'depth'], host.get((number, 'confidence')))
                for number in range(len(found))]
    return arrive


def _fetched(values: Tensor) -> Tensor:
    """Return the host's memory that values are on their way to."""
    if values.device.type != 'cuda':
        return values
    with watched(values.device):
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        return host.copy_(values, non_blocking=True)


def _recorded(device: torch.device) -> tuple[torch.device, torch.cuda.Event]:
    with watched(device):
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(device))
    return device, event
