# SPDX-License-Identifier: Apache-2.0
"""What a device has of a frame, and its way to the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from .device_errors import watched
from .frame import Prediction

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


def download(found: Sequence[Maps]) -> Callable[[], list[Prediction]]:
    """
    Begin to bring maps to the host, and return what waits for them.

    Of a CPU's maps the arrays are the same memory.

    :raises DeviceLostError: as what is returned does, when the device answers no call any more.
    """
    devices = {maps.depth.device for maps in found}
    with torch.inference_mode():
        host = [(_fetched(maps.depth), None if maps.confidence is None else _fetched(
            maps.confidence)) for maps in found]
    events = [_recorded(device) for device in devices if device.type == 'cuda']

    def wait() -> list[Prediction]:
        for device, event in events:
            with watched(device):
                event.synchronize()
        return [Prediction(depth.numpy(), None if confidence is None else confidence.numpy())
                for depth, confidence in host]
    return wait


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
