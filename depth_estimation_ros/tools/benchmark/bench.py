# SPDX-License-Identifier: Apache-2.0
"""One model in one precision, ours and its rivals loaded side by side, measured case by case."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from ...core.device import device_name
from ...core.estimator import DepthEstimator, EstimatorOptions
from ...core.frame import Frame
from ...core.precision import PRECISIONS
from .device import PeakMemory, matmul_rate, stopwatch, weight_bytes
from .images import textured
from .reference import Reference
from .rival_process import RivalError, RivalProcess, save_images
from .rivals import ByHand, tf32
from .turns import Contenders, take_turns


@dataclass(frozen=True)
class Case:
    """What one row measures."""

    size: str
    """Of the image, as 640x480."""
    batch: int
    """Images that the network sees at once; 2 are one image and its mirror image."""

    @property
    def flip(self) -> bool:
        """Whether the batch is one image and its mirror image."""
        return self.batch == 2

    def images(self) -> list[NDArray[np.uint8]]:
        """Return the images that a call takes."""
        width, height = (int(side) for side in self.size.split('x'))
        return [textured(width, height, seed) for seed in range(1 if self.flip else self.batch)]


@contextmanager
def open_bench(folder: Path, device: torch.device, precision: str, reference: Reference,
               rival_python: Path, backend: str, compiles: bool,
               say: Callable[[str], None]) -> Iterator[Bench]:
    """
    Load ours and its rivals, and let them go afterwards.

    :param folder: the checkpoint's.
    :param rival_python: the interpreter for transformers' pipeline.
    :param backend: of ours, as the estimator's option.
    :param compiles: whether ours builds with torch.compile too.
    :param say: called with what was left out, and why.
    """
    with ExitStack() as stack:
        estimator = DepthEstimator(EstimatorOptions(
            model=str(folder), device=str(device), precision=precision, backend=backend,
            compile=compiles))
        stack.callback(estimator.close)
        by_hand = (reference.by_hand if precision == 'fp32'
                   else ByHand(str(folder), str(device), precision))
        pipelines: dict[str, RivalProcess] = {}
        for wanted in dict.fromkeys((precision, 'fp32')):
            try:
                rival = RivalProcess(rival_python, 'pipeline', folder, str(device), wanted)
            except RivalError as error:
                say(f'the pipeline in {wanted} is left out: {error}')
                continue
            stack.callback(rival.close)
            pipelines['pipeline' if wanted == precision else 'pipeline_fp32'] = rival
        yield Bench(estimator, by_hand, pipelines, reference)
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.empty_cache()


class Bench:
    """Ours and its rivals, loaded."""

    def __init__(self, estimator: DepthEstimator, by_hand: ByHand,
                 pipelines: dict[str, RivalProcess], reference: Reference) -> None:
        """
        Take the contenders, and measure what the device can do at best.

        :param pipelines: by the contender's name.
        """
        self.estimator, self._by_hand = estimator, by_hand
        self._pipelines, self._reference = pipelines, reference
        self._rate = matmul_rate(estimator.device, PRECISIONS[estimator.precision])
        models = {id(model): model for model in (by_hand.model, reference.by_hand.model)}
        self._foreign = sum(map(weight_bytes, models.values()))

    def row(self, model: str, case: Case, scratch: Path, *, repeats: int,
            seconds: float) -> dict[str, Any]:
        """
        Measure one case.

        :param model: the name to put into the row.
        :param scratch: a folder for the images that the rivals' processes read.
        :param repeats: the most rounds.
        :param seconds: the time to keep to, but for the fewest rounds.
        """
        images = case.images()
        if self.estimator.device.type == 'cuda':  # as if the size of the case before never came
            self.estimator.loaded.planner.forget()
        memory = PeakMemory(self.estimator.device, self._foreign, self._pool_bytes)
        memory.over(partial(self.estimator.estimate, images, flip=case.flip))
        self.estimator.settle()
        depths = memory.over(partial(self.estimator.estimate, images, flip=case.flip))
        difference = self._reference.difference(images, depths, flip=case.flip)
        contenders = self._contenders(case, images, save_images(scratch, images), memory)
        times, faults = take_turns(contenders, repeats, seconds)
        work = case.batch * self._reference.operations(images[0])
        network = self.estimator.network_size(images[0])
        return {
            'model': model, 'device': device_name(self.estimator.device), 'size': case.size,
            'batch': case.batch, 'precision': self.estimator.precision,
            **_timings(times, len(images)), 'peak_mb': memory.mb,
            'floor_ms': None if self._rate is None else _rounded(1e3 * work / self._rate),
            'max_rel_diff': float(f'{difference:.3g}'),
            'flip': case.flip, 'backend': self.estimator.backend,
            'network_size': f'{network[1]}x{network[0]}', 'gflop': round(work / 1e9, 1),
            'transformers': self._versions(), 'torch': torch.__version__, 'faults': faults,
            'tf32': self._tf32()}

    def _contenders(self, case: Case, images: list[NDArray[np.uint8]], file: Path,
                    memory: PeakMemory) -> Contenders:
        device = self.estimator.device
        ours = partial(self.estimator.estimate, images, flip=case.flip)
        singly = {'one_by_one': partial(stopwatch, partial(self._one_by_one, images), device)}
        network = partial(self.estimator.loaded.planner, self._network_input(images, case.flip))
        return {
            'ours': partial(memory.over, partial(stopwatch, ours, device)),
            'network': partial(stopwatch, network, device),
            **(singly if len(images) > 1 else {}),
            'by_hand': partial(stopwatch, partial(self._by_hand, images, flip=case.flip), device),
            **{name: partial(rival.time, file, len(images), case.flip)
               for name, rival in self._pipelines.items()}}

    def _one_by_one(self, images: list[NDArray[np.uint8]]) -> None:
        for image in images:
            self.estimator.estimate([image])

    def _network_input(self, images: list[NDArray[np.uint8]], flip: bool) -> torch.Tensor:
        family, device = self.estimator.family, self.estimator.device
        inputs = torch.stack([family.inputs(torch.from_numpy(image).to(device), Frame(image))
                              for image in images])
        return torch.cat((inputs, family.mirrored(inputs))) if flip else inputs

    def _pool_bytes(self) -> int:
        graphs = self.estimator.loaded.planner.graphs
        return 0 if graphs is None else graphs.pool_bytes

    def _tf32(self) -> dict[str, str]:
        """Return where each contender rounds float32 to TF32, which only GPUs do."""
        if self.estimator.device.type != 'cuda':
            return {}
        return {'ours': tf32(), 'by_hand': tf32(), **{
            name: rival.versions['tf32'] for name, rival in self._pipelines.items()}}

    def _versions(self) -> dict[str, str]:
        here = str(transformers.__version__)
        return {'ours': here, 'by_hand': here, **{
            name: rival.versions['transformers'] for name, rival in self._pipelines.items()}}


def _timings(times: dict[str, list[float]], images: int) -> dict[str, Any]:
    """Return medians, ratios to ours, frames a second, and spreads (10th and 90th percentile)."""
    medians = {name: float(np.median(values)) for name, values in times.items()}
    rivals = [name for name in ('pipeline', 'by_hand', 'pipeline_fp32', 'one_by_one')
              if name in times]
    missing = {f'{name}_ms': None for name in ('pipeline', 'by_hand')}
    missing |= {f'ratio_{name}': None for name in ('pipeline', 'by_hand')}
    return {
        **missing, **{f'{name}_ms': _rounded(value) for name, value in medians.items()},
        **{f'ratio_{name}': round(medians[name] / medians['ours'], 2) for name in rivals},
        'fps': round(1e3 * images / medians['ours'], 2), 'calls': len(times['ours']),
        'spread_ms': {name: [_rounded(float(np.percentile(values, rank))) for rank in (10, 90)]
                      for name, values in times.items()}}


def _rounded(milliseconds: float) -> float:
    return float(f'{milliseconds:.4g}')
