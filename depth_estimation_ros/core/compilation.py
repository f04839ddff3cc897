"""Faster networks, built beside the work: frames are served meanwhile, and the fastest stays."""

import logging
from collections import deque
from collections.abc import Callable
from statistics import median
from threading import Condition, Thread
from time import perf_counter

import torch
from torch import Tensor, nn

from .backends import Backend, Network

LOGGER = logging.getLogger(__name__)

GAIN = 1.05
"""How many times faster than the network in use another one must be to take its place."""

MAX_DIFFERENCE = 1e-3
"""The largest relative difference of a pixel from torch's metres at which they are the same."""

ROUNDS = 5
"""Alternating runs of both by which the gain is judged, the most."""

SECONDS = 10.0
"""For those runs, but for one round."""


class Builder:
    """A thread that does jobs one after the other, started with the first."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._thread: Thread | None = None
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Do ``job`` after those submitted before it."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=self._work, name='builder', daemon=True)
            self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a job waits or is in hand."""
        return bool(self._jobs)

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until there is no job any more; return whether that came within ``timeout`` s."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs, timeout)

    def close(self) -> None:
        """Drop the jobs that wait, and end the thread after the one in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    self._jobs.clear()
                    self._changed.notify_all()
                    return
                job = self._jobs[0]
            job()
            with self._changed:
                self._jobs.popleft()
                self._changed.notify_all()


@torch.inference_mode()
def faster(backend: Backend, model: nn.Module, pixels: Tensor, used: Network) -> Network | None:
    """
    Build a network for one input shape and return it if it is the better one.

    :param model: patched, of one's own, the position codes of the size installed.
    :param pixels: an input of the shape.
    :param used: the network that serves the shape now.
    :return: None when it cannot be built, gives other metres, or is not faster; the log says why.
    """
    shape = f'{pixels.shape[3]}x{pixels.shape[2]}, batch {pixels.shape[0]}'
    started = perf_counter()
    try:
        with torch.inference_mode(False):
            network = backend.build(model, pixels.clone())
        metres = network(pixels).clone()
    except Exception as error:  # of the compiler or of the machine's C++ tool chain
        LOGGER.warning('%s cannot build the network for %s, it runs without: %s', backend.name,
                       shape, (str(error).strip() or repr(error)).splitlines()[0])
        return None
    reference = used(pixels)
    difference = float(((metres - reference).abs() / reference.abs()).max())
    if not difference <= MAX_DIFFERENCE:
        LOGGER.warning('%s gives other metres for %s, it is not used: they differ by %.2g',
                       backend.name, shape, difference)
        return None
    gain = _gain(lambda: used(pixels), lambda: network(pixels))
    LOGGER.info('%s built the network for %s in %.0f s: %.2f times as fast, %s', backend.name,
                shape, perf_counter() - started, gain, 'used' if gain >= GAIN else 'not used')
    return network if gain >= GAIN else None


def _gain(used: Callable[[], Tensor], other: Callable[[], Tensor]) -> float:
    seconds: dict[Callable[[], Tensor], list[float]] = {used: [], other: []}
    end = perf_counter() + SECONDS
    for _ in range(ROUNDS):
        for run, taken in seconds.items():
            started = perf_counter()
            if run().is_cuda:
                torch.cuda.current_stream().synchronize()
            taken.append(perf_counter() - started)
        if perf_counter() > end:
            break
    return median(seconds[used]) / median(seconds[other])
