# SPDX-License-Identifier: Apache-2.0
"""Measure the temporal filter in held-out rooms: `python -m training.steadiness`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.evaluation.steadiness import (
    Maps,
    edge_lag,
    flicker,
    surface_lag,
    temporal_alignment_error,
)
from depth_estimation_ros.resources import model_folder
from training.steadiness.drives import (
    FRAMES,
    GATE,
    MEMORY,
    SETTLED,
    Drive,
    Kind,
    filtered,
    kinds_of,
)

SECOND = 15
"""Frames for which a point is followed where the camera moves: later it has left the view."""

ROOMS = 3
HEADER = ('| | filter | flicker | TAE | AbsRel | delta1 | lag at edges | lag of surfaces | '
          'steadied |\n' + '|---' * 9 + '|')


def figures(depth: Maps, seen: Drive, kind: Kind) -> tuple[float, ...]:
    """Return flicker, TAE, AbsRel, delta1 and the two lags, of the frames after the first."""
    truth, frames = seen.video.depth, range(SETTLED, len(depth))
    length = SECOND if kind.moves else len(frames)
    ratio = depth[SETTLED:] / truth[SETTLED:]
    steady = [flicker(depth, seen.video, range(first, first + length))
              for first in range(SETTLED, len(depth) - length + 1, length)]
    return (float(np.mean(steady)), temporal_alignment_error(depth, seen.video, frames),
            float(np.abs(ratio - 1).mean()), float((np.maximum(ratio, 1 / ratio) < 1.25).mean()),
            edge_lag(depth, seen.plain, truth, frames),
            surface_lag(depth, seen.plain, truth, ~seen.video.static, frames))


def lines(kind: Kind, seen: Drive, memory: int, gate: float,
          ) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield the name of each way to filter a drive, and its figures."""
    yield 'off', (*figures(seen.plain, seen, kind), 0.0)
    for name, odometry in (('on', False), ('on, with odometry', True)):
        if kind.moves or not odometry:
            depth, share = filtered(seen, odometry=odometry, memory=memory, gate=gate)
            yield name, (*figures(depth, seen, kind), share)


def measured(split: str, first: int, rooms: int, count: int, memory: int, gate: float,
             ) -> dict[tuple[str, str], tuple[float, ...]]:
    """Return the figures of each kind of drive and way to filter, as means over rooms."""
    estimator = DepthEstimator(EstimatorOptions(model_folder('demo'), device='cpu',
                                                backend='torch'))
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for number in tqdm(range(first, first + rooms), unit='room', disable=None):
        for kind, seen in kinds_of(split, number, estimator, count):
            for name, values in lines(kind, seen, memory, gate):
                found.setdefault((kind.name, name), []).append(values)
    return {key: tuple(np.mean(values, axis=0).tolist()) for key, values in found.items()}


def row(key: tuple[str, str], values: tuple[float, ...]) -> str:
    """Return a line of the table."""
    steady, tae, absrel, delta1, edges, surfaces, share = values
    return (f'| {" | ".join(key)} | {100 * steady:.2f} % | {100 * tae:.2f} % | {absrel:.4f} | '
            f'{delta1:.3f} | {edges:.2f} | {surfaces:.2f} | {share:.0%} |')


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--split', default='test', choices=('validation', 'test'))
    parser.add_argument('--first', type=int, default=0, help='number of the first room')
    parser.add_argument('--rooms', type=int, default=ROOMS)
    parser.add_argument('--frames', type=int, default=FRAMES)
    parser.add_argument('--memory', type=int, default=MEMORY)
    parser.add_argument('--gate', type=float, default=GATE)
    options = parser.parse_args()
    found = measured(options.split, options.first, options.rooms, options.frames, options.memory,
                     options.gate)
    sys.stdout.write('\n'.join([HEADER, *(row(*each) for each in found.items())]) + '\n')


if __name__ == '__main__':
    main()
