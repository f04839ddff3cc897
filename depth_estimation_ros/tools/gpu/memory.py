# SPDX-License-Identifier: Apache-2.0
"""The memory of the device: what sizes and batches take, what close leaves, and too little."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.errors import DeviceError
from ...core.estimator import DepthEstimator, EstimatorOptions
from ..benchmark.images import textured

LIMIT_GB = 5.0
"""What the full-size model may take at fp16 with three sizes and batches up to four."""

SIZES = ((640, 480), (1242, 375), (480, 640))


class Account:
    """What this process holds: bytes on a GPU, on the CPU the tensors that Python knows of."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def held(self) -> int:
        """Return it, after all that can be collected is."""
        gc.collect()
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
            return torch.cuda.memory_allocated(self._device)
        return sum(thing.nbytes for thing in gc.get_objects()
                   if issubclass(type(thing), torch.Tensor))


def close(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Load, serve and close several times; what is held afterwards must not grow."""
    account, held = Account(device), []
    for _ in range(2 if quick else 5):
        estimator = _estimator(folder, device)
        for _ in range(3):
            estimator.estimate([textured(640, 480)])
        estimator.close()
        del estimator
        held.append(account.held())
    growth = held[-1] - held[0]
    return {'passed': growth <= 0.01 * held[0] + 2**20, 'held_mb': round(held[-1] / 2**20, 1),
            'growth_mb': round(growth / 2**20, 2)}


def memory(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Serve three sizes in batches of one to four; count what the device gave."""
    if device.type != 'cuda':
        return {'passed': True, 'reason': 'needs a GPU'}
    estimator = _estimator(folder, device)
    rows = [_row('start', 1, estimator, device)]
    for size in SIZES:
        images = [textured(*size, seed) for seed in range(4)]
        for batch in (1, 2, 3, 4):
            torch.cuda.reset_peak_memory_stats(device)
            for _ in range(3):
                estimator.estimate(images[:batch])
            rows.append(_row(f'{size[0]}x{size[1]}', batch, estimator, device))
    most = max(row['most_reserved_gb'] for row in rows)
    estimator.close()
    left = torch.cuda.memory_reserved(device) / 1e9
    return {'passed': most <= LIMIT_GB, 'most_reserved_gb': most,
            'reserved_after_close_gb': round(left, 3), 'limit_gb': LIMIT_GB, 'rows': rows}


def _row(size: str, batch: int, estimator: DepthEstimator, device: torch.device) -> dict[str, Any]:
    """Return what is held now, and the most since the last row, in units of 10^9 bytes."""
    planner = estimator.loaded.planner
    return {'size': size, 'batch': batch,
            'allocated_gb': round(torch.cuda.memory_allocated(device) / 1e9, 2),
            'reserved_gb': round(torch.cuda.memory_reserved(device) / 1e9, 2),
            'most_allocated_gb': round(torch.cuda.max_memory_allocated(device) / 1e9, 2),
            'most_reserved_gb': round(torch.cuda.max_memory_reserved(device) / 1e9, 2),
            'graphs_gb': round((planner.graphs.bytes if planner.graphs else 0) / 1e9, 2)}


def out_of_memory(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Leave little memory, ask for much: depth or a clear error, and the next image is served."""
    if device.type != 'cuda':
        return {'passed': True, 'reason': 'needs a GPU'}
    estimator = _estimator(folder, device)
    images = [textured(1242, 375, seed) for seed in range(8)]
    used = torch.cuda.memory_reserved(device)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min((used + 2**30) / total, 1.0), device)
    said = ''
    try:
        depths = estimator.estimate(images)
    except DeviceError as error:
        depths, said = [], str(error)
    finite = all(bool(np.isfinite(depth).all()) for depth in depths)
    after = bool(np.isfinite(estimator.estimate([textured(640, 480)])[0]).all())
    limits = {f'{width}x{height}': batch
              for (height, width), batch in estimator.loaded.limits.batches.items()}
    estimator.close()
    return {'passed': finite and after and bool(depths or said), 'images': len(depths),
            'said': said, 'limits': limits}


def _estimator(folder: Path, device: torch.device) -> DepthEstimator:
    return DepthEstimator(EstimatorOptions(
        str(folder), device=str(device), backend='torch',
        precision='fp16' if device.type == 'cuda' else 'fp32'))
