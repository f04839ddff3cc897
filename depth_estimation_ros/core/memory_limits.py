# SPDX-License-Identifier: Apache-2.0
"""What a model does without on a device whose memory was short: CUDA graphs, large batches."""

import gc
import logging
import math
from functools import partial
from time import monotonic

import torch

from .device import device_name
from .errors import DeviceError
from .running.guard import GUARD
from .running.planner import Planner
from .running.shape import Size, largest_batch

LOGGER = logging.getLogger(__name__)

PAUSE = 60.0
"""Seconds without graphs after the memory was short; after each further time twice as many."""

PATIENCE = 5.0
"""Seconds to wait for memory that may only be freed when another thread lets it happen."""


class MemoryLimits:
    """Of one model; what is short while another is loaded beside it does not count for good."""

    def __init__(self, device: torch.device, *, captures: bool) -> None:
        """
        Start without any limit.

        :param captures: whether the model's work may be captured at all.
        """
        self._device, self._captures = device, captures
        self.batches: dict[Size, int] = {}
        """The largest batch of the network that the memory holds, where one was too large."""
        self._passing: dict[Size, int] = {}
        """The same, while another model is loaded."""
        self._crowded = False
        """Whether another model was being loaded when the memory was short last."""
        self._pause, self._resume = PAUSE, math.inf

    def largest(self, planner: Planner, size: Size) -> int:
        """Return the largest batch of the network at a size."""
        self._relax(planner)
        largest = 1 << 30 if planner.graphs is None else largest_batch(size)
        return min(largest, self.batches.get(size, largest), self._passing.get(size, largest))

    def make_room(self, planner: Planner, count: int, size: Size, *, flip: bool,
                  reason: str) -> None:
        """
        After an out of memory drop the graphs for a while, then halve the batch, for good.

        :param count: of the images that were too many.
        :param reason: what the device said.
        :raises DeviceError: when there is nothing left to do without.
        """
        where = f'out of memory on {device_name(self._device)} with a batch of {count} at ' \
                f'network size {size[1]}x{size[0]}'
        self._crowded = GUARD.held_elsewhere
        dropped = planner.release_graphs()
        GUARD.run_soon(partial(free_unused, self._device))
        GUARD.settle(PATIENCE)  # else the next try would find the same memory taken
        if dropped:
            self._stop_capturing(planner)
            LOGGER.warning('%s: serving without CUDA graphs for a while', where)
        elif count == 1:
            raise DeviceError(f'{where}: {reason}')
        else:
            limits = self._passing if self._crowded else self.batches
            limits[size] = max(count // 2, 1) * (1 + flip)
            planner.captures = self._captures
            LOGGER.warning('%s: halving it %s', where, 'while another model is loaded'
                           if self._crowded else 'from now on')

    def _stop_capturing(self, planner: Planner) -> None:
        planner.captures = False
        self._resume, self._pause = monotonic() + self._pause, 2 * self._pause

    def _relax(self, planner: Planner) -> None:
        """Take back what was meant for a while that is over."""
        alone = self._crowded and not GUARD.held_elsewhere
        if alone:
            self._passing.clear()
            self._crowded = False
        if (alone and self._resume < math.inf) or monotonic() >= self._resume:
            self._resume = math.inf
            planner.captures = self._captures


def free_unused(device: torch.device) -> None:
    """Give the device's memory back that nobody holds; under the guard."""
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.empty_cache()
