# SPDX-License-Identifier: Apache-2.0
"""What points, scans and their shaping cost: bytes and milliseconds, as a Markdown table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from ...core.correction import INVERSE, SCALE, Correction
from ...core.mount import Mount
from ...core.pinhole import Pinhole
from ...core.points import one_point_a_voxel, points_from_depth
from ...core.rigid import Rigid
from ...core.scan import Band, Scanner
from ...core.shaping.edges import mask_edges
from ...core.shaping.reduce import Reduction, reduce_depth
from ...core.shaping.temporal import Moment, TemporalFilter

SIZES = ((640, 480), (1280, 720), (1920, 1080))
ROUNDS = 31

Step = tuple[str, Callable[[], Tensor]]


def steps(width: int, height: int) -> Iterator[Step]:
    """Name each operation on a frame of a size: a floor and a wall, with noise."""
    camera = Pinhole(0.82 * width, 0.82 * width, (width - 1) / 2, (height - 1) / 2)
    rows = (torch.arange(height) - camera.cy)[:, None] / camera.fy
    torch.manual_seed(0)
    depth = (1.2 / rows.clamp(min=0.24)) * (1 + 0.01 * torch.randn(height, width))
    image = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
    plain, coloured = points_from_depth(depth, camera), points_from_depth(depth, camera, image)
    quarter = points_from_depth(depth, camera, stride=4)
    cells = Reduction.by_stride((height, width), 4)
    mount, band = Mount(1.2), Band(0.05, 1.8, 0.01)
    yield 'depth, 32FC1', lambda: depth
    yield 'calibration, a scale', lambda: Correction(SCALE, 1.1).metres(depth)
    yield 'calibration, inverse depth', lambda: Correction(INVERSE, 1.1, 0.01).metres(depth)
    yield 'edge mask, width 2', lambda: mask_edges(depth, 0.05, 2)
    yield 'temporal filter', steadying(depth, image, camera, 0.0)
    yield 'temporal filter by odometry', steadying(depth, image, camera, 0.01)
    yield 'depth by stride 4, nearest', lambda: reduce_depth(depth, cells, 'nearest')
    yield 'depth by stride 4, minimum', lambda: reduce_depth(depth, cells, 'minimum')
    yield 'points', lambda: points_from_depth(depth, camera, out=plain)
    yield 'points, new memory', lambda: points_from_depth(depth, camera)
    yield 'points with colour', lambda: points_from_depth(depth, camera, image, out=coloured)
    yield 'points with colour, new memory', lambda: points_from_depth(depth, camera, image)
    yield 'points by stride 4', lambda: points_from_depth(depth, camera, stride=4, out=quarter)
    yield 'one point in 5 cm', lambda: one_point_a_voxel(plain, 0.05)
    yield 'one point in 5 cm, of stride 4', lambda: one_point_a_voxel(quarter, 0.05)
    scanner = Scanner()
    yield 'scan', lambda: scanner(depth, camera, mount, band).ranges


def steadying(depth: Tensor, image: Tensor, camera: Pinhole, way: float) -> Callable[[], Tensor]:
    """
    Return what filters the next frame of a camera at 20 Hz.

    :param way: metres that it goes ahead in each; 0 where it is not known that it does.
    """
    steady, frames = TemporalFilter(), count()

    def step() -> Tensor:
        index = next(frames)
        pose = Rigid(np.eye(3), np.array([0, 0, way * index])) if way else None
        return steady(depth, Moment(0.05 * index, image.numpy(), camera, pose), 16, 0.1)
    return step


def milliseconds(step: Callable[[], Tensor], rounds: int) -> float:
    """Return the median time of a call, after two that do not count."""
    times = []
    for _ in range(rounds + 2):
        start = perf_counter()
        step()
        times.append(1e3 * (perf_counter() - start))
    return median(times[2:])


def table(sizes: tuple[tuple[int, int], ...] = SIZES, rounds: int = ROUNDS) -> str:
    """Measure every step at every size, on the CPU."""
    columns = [dict(steps(*size)) for size in sizes]
    header = ['', *(f'{width}x{height}: bytes | ms' for width, height in sizes)]
    lines = [f'| {" | ".join(header)} |', '|---' * (1 + 2 * len(sizes)) + '|']
    for name in columns[0]:
        cells = (f'{column[name]().nbytes:,} | {milliseconds(column[name], rounds):.1f}'
                 for column in columns)
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.stdout.write(f'torch {torch.__version__}, {torch.get_num_threads()} threads\n\n'
                     f'{table()}\n')
