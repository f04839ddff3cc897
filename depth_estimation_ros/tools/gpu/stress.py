# SPDX-License-Identifier: Apache-2.0
"""What crashed a process once: rebuilds under traffic, the collector, a capture that fails."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.estimator import DepthEstimator, EstimatorOptions
from ..benchmark.images import textured
from .memory import Account

WRONG = 0.05
"""The mean relative difference from the first estimate by the same options that is a wrong one."""


REBUILD_SECONDS = 110.0
"""After these no further round of changes begins: a full-size model takes seconds to load."""


class Traffic:
    """Serves one image over and over in a thread, by the options that were wanted last."""

    def __init__(self, estimator: DepthEstimator, image: NDArray[np.uint8]) -> None:
        self.frames = self.wrong = 0
        self.error: Exception | None = None
        self._image, self._estimator = image, estimator
        self._end, self._frame = Event(), Lock()
        self._seen: dict[EstimatorOptions, NDArray[np.float32]] = {}
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def reconfigure(self, options: EstimatorOptions) -> None:
        """Serve by other options from the next frame on; wait until that is so."""
        self._estimator.reconfigure(options)
        served = self.frames
        while self.frames < served + 2 and self.error is None:
            self._end.wait(0.001)

    def between_frames(self, measure: Callable[[], int]) -> int:
        """Return what ``measure`` finds while no frame is in hand, whose tensors would count."""
        with self._frame:
            return measure()

    def stop(self) -> None:
        """End the thread and the estimator; raise what it failed by."""
        self._end.set()
        self._thread.join()
        self._estimator.close()
        if self.error is not None:
            raise self.error

    def _serve(self) -> None:
        try:
            while not self._end.is_set():
                with self._frame:
                    self._serve_one()
                self._end.wait(0.0005)  # else who measures would hardly ever get the lock
        except Exception as error:  # raised again by the thread that waits
            self.error = error

    def _serve_one(self) -> None:
        self._compare(self._estimator.estimate([self._image])[0])

    def _compare(self, depth: NDArray[np.float32]) -> None:
        self.frames += 1
        first = self._seen.setdefault(self._estimator.loaded.options, depth.copy())
        self.wrong += not float(np.mean(np.abs(depth - first) / first)) < WRONG


def rebuilds(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """
    Change precision and network size under traffic; memory must come back.

    Four changes a round; 25 rounds, or as many as :data:`REBUILD_SECONDS` allow, at least two.
    """
    low = 'fp16' if device.type == 'cuda' else 'fp32'
    changes = [EstimatorOptions(str(folder), device=str(device), backend='torch',
                                precision=precision, height=height, width=width)
               for precision, (height, width) in itertools.product(
                   (low, 'fp32'), ((0, 0), (192, 256)))]
    traffic = Traffic(DepthEstimator(changes[0]), textured(640, 480))
    rounds, account = (2 if quick else 25), Account(device)
    held: list[int] = []
    end = time.monotonic() + REBUILD_SECONDS
    try:
        while len(held) < rounds and (len(held) < 2 or time.monotonic() < end):
            for options in (*changes[1:], changes[0]):
                traffic.reconfigure(options)
            held.append(traffic.between_frames(account.held))
    finally:
        traffic.stop()
    growth = held[-1] / held[0] - 1
    return {'passed': not traffic.wrong and growth <= 0.01, 'rebuilds': len(held) * len(changes),
            'frames': traffic.frames, 'wrong': traffic.wrong, 'growth': round(growth, 4)}


def collection(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Collect garbage all the time in another thread while sizes and batches are captured."""
    estimator, end = _estimator(folder, device), Event()
    runs = 0

    def collect() -> None:
        nonlocal runs
        while True:
            gc.collect()
            runs += 1
            if end.wait(0.1):
                return

    thread = Thread(target=collect)
    thread.start()
    try:
        finite = _serve_several(estimator, 1 if quick else 8)
    finally:
        end.set()
        thread.join()
        estimator.close()
    return {'passed': finite and runs > 0, 'collections': runs}


def failing_capture(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Let the network wait for the device in a capture, which ends it; then serve and capture."""
    if device.type != 'cuda':
        return {'passed': True, 'reason': 'needs a GPU'}
    estimator = _estimator(folder, device)
    network: Callable[[Tensor], Tensor] = estimator.loaded.planner._forward
    estimator.loaded.planner._forward = (  # type: ignore[method-assign]
        lambda pixels: network(pixels) + 0 * float(pixels.sum().item()))
    image = textured(800, 600)
    without = [estimator.estimate([image])[0].copy() for _ in range(3)]
    graphs = len(estimator.loaded.planner.graphs or ())
    del estimator.loaded.planner._forward
    stream = torch.cuda.current_stream(device) == torch.cuda.default_stream(device)
    finite = all(np.isfinite(depth).all() for depth in without) and _serve_several(estimator, 2)
    captured = len(estimator.loaded.planner.graphs or ()) > graphs
    estimator.close()
    return {'passed': bool(finite and captured and stream), 'captured_after': captured,
            'stream_restored': stream}


def _estimator(folder: Path, device: torch.device) -> DepthEstimator:
    return DepthEstimator(EstimatorOptions(
        str(folder), device=str(device), backend='torch',
        precision='fp16' if device.type == 'cuda' else 'fp32'))


def _serve_several(estimator: DepthEstimator, sizes: int) -> bool:
    """Serve each of several image sizes three times; return whether all depth was finite."""
    images = [textured(320 + 32 * step, 240, step) for step in range(sizes)]
    return all(bool(np.isfinite(estimator.estimate([image])[0]).all())
               for image in images for _ in range(3))
