"""torch.compile beside the work: frames are served meanwhile; it is used where it is faster."""

import logging
from collections.abc import Callable
from copy import deepcopy
from statistics import median
from threading import Thread
from time import perf_counter

import torch
from torch import Tensor, nn

LOGGER = logging.getLogger(__name__)

GAIN = 1.05
"""How many times faster than the plain network the compiled one must be to take its place."""

ROUNDS = 5
"""Alternating runs of both by which that is judged."""

Forward = Callable[[nn.Module, Tensor], Tensor]
Swap = Callable[[Callable[[Tensor], Tensor]], None]


def compile_beside(model: nn.Module, forward: Forward, pixels: Tensor, swap: Swap) -> Thread:
    """
    Compile a copy of the network for one input shape in a thread of its own.

    :param model: the network, its position codes installed; copied before this returns.
    :param forward: runs a network on pixels.
    :param pixels: an input of the shape to compile for.
    :param swap: called in that thread with the compiled network, if it is faster.
    """
    plain, pixels = deepcopy(model), pixels.clone()
    thread = Thread(target=_work, args=(plain, forward, pixels, swap), name='compile', daemon=True)
    thread.start()
    return thread


@torch.inference_mode()
def _work(plain: nn.Module, forward: Forward, pixels: Tensor, swap: Swap) -> None:
    shape = f'{pixels.shape[3]}x{pixels.shape[2]}, batch {pixels.shape[0]}'
    started = perf_counter()
    compiled = torch.compile(forward, dynamic=False, fullgraph=True)
    try:
        compiled(plain, pixels)
    except Exception as error:  # of the compiler or of the machine's C++ tool chain
        LOGGER.warning('compiling the network for %s failed, it runs uncompiled: %s', shape,
                       (str(error).strip() or repr(error)).splitlines()[0])
        return
    gain = _gain(lambda: forward(plain, pixels), lambda: compiled(plain, pixels))
    LOGGER.info('compiled the network for %s in %.0f s: %.2f times as fast, %s', shape,
                perf_counter() - started, gain, 'used' if gain >= GAIN else 'not used')
    if gain >= GAIN:
        swap(lambda frame: compiled(plain, frame))


def _gain(plain: Callable[[], Tensor], compiled: Callable[[], Tensor]) -> float:
    seconds: dict[Callable[[], Tensor], list[float]] = {plain: [], compiled: []}
    for _ in range(ROUNDS):
        for run, taken in seconds.items():
            started = perf_counter()
            if run().is_cuda:
                torch.cuda.current_stream().synchronize()
            taken.append(perf_counter() - started)
    return median(seconds[plain]) / median(seconds[compiled])
