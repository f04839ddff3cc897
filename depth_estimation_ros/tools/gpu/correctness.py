# SPDX-License-Identifier: Apache-2.0
"""Metres at every precision and size beside transformers in float32, with TF32 off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.estimator import DepthEstimator, EstimatorOptions
from ...core.precision import PRECISIONS
from ..benchmark.images import textured
from ..benchmark.reference import exact_float32
from ..benchmark.rivals import ByHand

SIZES = ((640, 480), (1242, 375), (480, 640))
"""Width and height of the images."""

WORST = {'fp32': 1e-4, 'bf16': 5e-2, 'fp16': 5e-3}
"""The most that a pixel may differ from the reference, relative to it, by precision."""

REPLAYS = 4
"""Estimates of the same image, the later ones from a graph; they must not differ at all."""


def correctness(folder: Path, device: torch.device, quick: bool) -> dict[str, Any]:
    """Compare; a row a precision and size."""
    sizes = SIZES[:1] if quick else SIZES
    images = {size: textured(*size, seed) for seed, size in enumerate(sizes)}
    with exact_float32():
        by_hand = ByHand(str(folder), str(device), 'fp32')
        references = {size: by_hand([image])[0] for size, image in images.items()}
        del by_hand
    rows = []
    for precision in PRECISIONS:
        estimator = DepthEstimator(EstimatorOptions(
            str(folder), device=str(device), precision=precision, backend='torch'))
        for size, image in images.items():
            depths = [estimator.estimate([image])[0].copy() for _ in range(REPLAYS)]
            error = np.abs(depths[-1] - references[size]) / np.abs(references[size])
            equal = all(np.array_equal(depth, depths[-1]) for depth in depths[-2:])
            rows.append({
                'precision': estimator.precision, 'image': f'{size[0]}x{size[1]}',
                'mean': float(error.mean()), 'p99': float(np.percentile(error, 99)),
                'worst': float(error.max()), 'limit': WORST[precision],
                'passed': bool(estimator.precision == precision and equal
                               and error.max() <= WORST[precision])})
        estimator.close()
    return {'passed': all(row['passed'] for row in rows), 'rows': rows}
