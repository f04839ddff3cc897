# SPDX-License-Identifier: Apache-2.0
"""A trial of another network beside the one in use: the same metres, in less time."""

import logging
from collections.abc import Callable
from threading import Event
from time import perf_counter

import torch
from torch import Tensor, nn

from ..backends.base import Backend, Network
from ..backends.reason import reason

LOGGER = logging.getLogger(__name__)

GAIN = 1.05
"""How many times faster than the network in use another one must be to replace it."""

MAX_DIFFERENCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2, torch.float16: 3e-2}
"""By the model's precision, the relative difference of its worst pixel at which metres are the
same; another order of the same operations in a low precision differs by as much."""

SMALLEST = 0.01
"""The part of the largest value below which values count as this."""

ROUNDS = 5
"""The most alternating runs of both by which the gain is measured."""

FEWEST_ROUNDS = 3
"""The fewest, however long one takes: what is decided here is not looked at again."""

SECONDS = 10.0
"""Seconds of measuring after which no further round than these is begun."""

Measure = Callable[[Network, Network, Tensor], float]
"""From the network in use, another one and their input to how many times faster the other is."""


def measure_gain(used: Network, other: Network, pixels: Tensor) -> float:
    """
    Run two networks in turn and return how many times faster the other one is.

    By the quickest run of each: what else the machine does only ever adds to a run, and it serves
    frames meanwhile.
    """
    seconds: dict[Network, list[float]] = {used: [], other: []}
    end = perf_counter() + SECONDS
    for done in range(1, ROUNDS + 1):
        for network, taken in seconds.items():
            started = perf_counter()
            depth = network(pixels)
            if depth.is_cuda:
                torch.cuda.current_stream(depth.device).synchronize()
            taken.append(perf_counter() - started)
        if done >= FEWEST_ROUNDS and perf_counter() > end:
            break
    return min(seconds[used]) / min(seconds[other])


@torch.inference_mode()
def build_if_faster(backend: Backend, model: nn.Module, pixels: Tensor, used: Network,
                    stop: Event, *, measure: Measure = measure_gain) -> Network | None:
    """
    Build a network for one input shape and return it if it is the better one.

    :param model: a private copy of the patched model, the size's position encodings installed.
    :param pixels: an input of the shape.
    :param used: the network that serves the shape now.
    :param stop: once it is set, nobody wants the result.
    :param measure: what tells how many times faster another network is.
    :return: None when it cannot be built, gives other metres, or is not faster; the log says why.
    """
    shape = f'{pixels.shape[3]}x{pixels.shape[2]}, batch {pixels.shape[0]}'
    started = perf_counter()
    try:
        network = backend.build(model, pixels, stop)
        metres = network(pixels)
    except Exception as error:  # of the compiler or of the machine's C++ tool chain
        if not stop.is_set():
            LOGGER.warning('%s cannot build the network for %s, it runs without: %s',
                           backend.name, shape, reason(error))
        return None
    difference = _difference(metres, used(pixels))
    if not difference <= MAX_DIFFERENCE[next(model.parameters()).dtype]:
        LOGGER.warning('%s gives other metres for %s, it is not used: they differ by %.2g',
                       backend.name, shape, difference)
        return None
    gain = measure(used, network, pixels)
    LOGGER.info('%s built the network for %s in %.0f s: %.2f times as fast, %s', backend.name,
                shape, perf_counter() - started, gain, 'used' if gain >= GAIN else 'not used')
    return network if gain >= GAIN else None


def _difference(metres: Tensor, reference: Tensor) -> float:
    """Return the worst relative difference; values near 0, as of inverse depth, count as more."""
    smallest = SMALLEST * reference.abs().max()
    return float(((metres - reference).abs() / reference.abs().maximum(smallest)).max())
