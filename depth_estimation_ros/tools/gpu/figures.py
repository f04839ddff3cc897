# SPDX-License-Identifier: Apache-2.0
"""How long a frame takes beside the rivals, and which kernels it takes it in."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from ...core.estimator import DepthEstimator, EstimatorOptions
from ..benchmark.bench import Case, open_bench
from ..benchmark.images import textured
from ..benchmark.reference import Reference

CASES = (Case('640x480', 1), Case('640x480', 8), Case('1242x375', 1))
SECONDS = 6.0
"""For each case and precision."""

SHOWN = ('precision', 'size', 'batch', 'ours_ms', 'network_ms', 'floor_ms', 'by_hand_ms',
         'pipeline_ms', 'ratio_by_hand', 'ratio_pipeline', 'ratio_pipeline_fp32', 'max_rel_diff',
         'peak_mb')
TOP = 20
"""Kernels that are listed."""


def figures(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Measure ours, by hand and the pipeline in turns; a row a case."""
    left_out: list[str] = []
    rows = [{key: row.get(key) for key in SHOWN} for row in _rows(folder, device, quick, left_out)]
    return {'passed': bool(rows), 'left_out': '; '.join(left_out) or 'nothing', 'rows': rows}


def _rows(folder: Path, device: torch.device, quick: bool,
          left_out: list[str]) -> Iterator[dict[str, Any]]:
    reference = Reference(folder, device)
    low = 'fp16' if device.type == 'cuda' else 'fp32'
    with tempfile.TemporaryDirectory() as scratch, open_bench(
            folder, device, low, reference, Path(sys.executable), 'torch', False,
            left_out.append) as bench:
        for case in CASES[:1] if quick else CASES:
            yield bench.row(folder.name, case, Path(scratch), repeats=2 if quick else 30,
                            seconds=1.0 if quick else SECONDS)


def kernels(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Profile frames of batch 1 and 8; a row for each of the longest kernels."""
    on_gpu = device.type == 'cuda'
    estimator = DepthEstimator(EstimatorOptions(
        str(folder), device=str(device), backend='torch', precision='fp16' if on_gpu else 'fp32'))
    rows = [row for batch in ((1,) if quick else (1, 8)) for row in _profiled(estimator, batch)]
    estimator.close()
    return {'passed': bool(rows), 'rows': rows}


def _profiled(estimator: DepthEstimator, batch: int) -> list[dict[str, Any]]:
    images, frames = [textured(640, 480, seed) for seed in range(batch)], 5
    for _ in range(3):
        estimator.estimate(images)
    kind = ProfilerActivity.CUDA if estimator.overlaps else ProfilerActivity.CPU
    with profile(activities=[kind]) as profiler:
        for _ in range(frames):
            estimator.estimate(images)
    taken = [(_self_time(event), event.count, event.key) for event in profiler.key_averages()]
    total = float(np.sum([time for time, _, _ in taken]))
    return [{'batch': batch, 'ms': time / frames / 1e3, 'share': round(time / total, 3),
             'calls': round(count / frames), 'kernel': name[:70]}
            for time, count, name in sorted(taken, reverse=True)[:TOP]]


def _self_time(event: Any) -> float:
    """Return microseconds; of the device where it has any, whose name torch has changed."""
    return float(getattr(event, 'self_device_time_total', 0) or event.self_cpu_time_total)


