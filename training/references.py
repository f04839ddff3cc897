# SPDX-License-Identifier: Apache-2.0
"""Calibrate by each reference in rendered rooms: `python -m training.references`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.evaluation.metrics import depth_metrics, mean_metrics
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.reference_fit import fit_reference
from depth_estimation_ros.core.reference_pairs import Collector, UnusableReferenceError
from depth_estimation_ros.resources import model_folder
from training.dataset import CPU, camera_grid
from training.focal import Zoomed, zoomed
from training.rays import cast_rays

ROOMS = 24
ZOOM = 0.7
"""The lens: times the focal length that the model was trained with."""
OUTLIERS = 0.1
"""The share of a sensor's points that are wrong, by a factor of up to 2."""
TAPE_M = 0.01
"""The standard deviation of a distance measured by hand."""
LASER_M = (0.38, 0.42)
"""Heights above the floor that a level laser scanner sees."""
SPARSE = 100
"""Points of a sparse map in an image."""

Chosen = Callable[[Zoomed, np.random.Generator], NDArray[np.bool_]]
"""Which pixels of a view a reference knows, (480, 640)."""


@dataclass(frozen=True)
class View:
    """A room through the lens, and what the model makes of it."""

    seen: Zoomed
    depth: NDArray[np.float32]  # (480, 640), metres


def laser(seen: Zoomed, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark what lies at the height of a laser scanner."""
    up = cast_rays(seen.camera, *camera_grid(CPU)).directions[2].numpy()
    height = seen.camera.position[2] + up * seen.depth
    return np.asarray((height > LASER_M[0]) & (height < LASER_M[1]))


def sparse(seen: Zoomed, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark some pixels, as the features of a map."""
    chosen = np.zeros(seen.depth.size, np.bool_)
    chosen[rng.choice(seen.depth.size, SPARSE, replace=False)] = True
    return chosen.reshape(seen.depth.shape)


def spots(count: int) -> Chosen:
    """Return what marks so many pixels along the middle row and the lower image."""
    def mark(seen: Zoomed, rng: np.random.Generator) -> NDArray[np.bool_]:
        chosen = np.zeros(seen.depth.shape, np.bool_)
        for u, v in ((320, 240), (80, 240), (560, 240), (320, 460), (200, 360))[:count]:
            chosen[v, u] = True
        return chosen

    return mark


SENSORS: dict[str, tuple[Chosen, int, int]] = {
    'a depth camera': (lambda seen, rng: np.ones(seen.depth.shape, np.bool_), 0, 50),
    'a laser scanner at 0.4 m': (laser, 0, 50),
    f'a sparse map, {SPARSE} points an image': (sparse, 0, 50),
    'five measured distances in one view': (spots(5), 1, 1),
    'one measured distance': (spots(1), 1, 1),
}
"""What each reference knows, in how many views (0: all), and the pairs that are asked."""


def measured(metres: NDArray[np.float32], rng: np.random.Generator, *,
             by_hand: bool) -> NDArray[np.float64]:
    """Return distances as they are measured."""
    if by_hand:
        return np.asarray(metres + rng.normal(0, TAPE_M, metres.shape))
    wrong = rng.random(metres.shape) < OUTLIERS
    return np.where(wrong, metres * np.exp2(rng.uniform(-1, 1, metres.shape)), metres)


def views(rooms: int, zoom: float) -> list[View]:
    """Render rooms through a lens and estimate their depth."""
    estimator = DepthEstimator(EstimatorOptions(model_folder('demo'), device='cpu'))
    made = []
    for index in tqdm(range(rooms), unit='room', disable=None):
        seen = zoomed(index, zoom)
        made.append(View(seen, estimator.estimate([seen.image])[0]))
    estimator.close()
    return made


def rows(seen: list[View]) -> Iterator[str]:
    """Yield the lines of a Markdown table: fitted to the first half, measured on the second."""
    half, rest = seen[:len(seen) // 2], seen[len(seen) // 2:]
    yield '| reference | taken | AbsRel in other rooms | delta1 |'
    yield '|---|---|---|---|'
    yield row('none', '', rest, lambda depth: depth)
    for name, (chosen, count, least) in SENSORS.items():
        rng, collector = np.random.default_rng(7), Collector()
        for view in half[:count or None]:
            known = chosen(view.seen, rng)
            collector.add(view.depth[known].astype(np.float64),
                          measured(view.seen.depth[known], rng, by_hand=least == 1))
        try:
            fit = fit_reference(collector.pairs, Quantity.METRES, least)
        except UnusableReferenceError as error:
            yield f'| {name} | refused: {error} | | |'
        else:
            yield row(name, f'{fit.name}, {fit.correction.scale:.3f}', rest, fit.correction)


def row(name: str, taken: str, rest: list[View],
        correction: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> str:
    """Format the errors of corrected depth."""
    mean = mean_metrics([depth_metrics(correction(view.depth), view.seen.depth) for view in rest])
    return f'| {name} | {taken} | {mean.abs_rel:.3f} | {mean.delta1:.3f} |'


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rooms', type=int, default=ROOMS)
    parser.add_argument('--zoom', type=float, default=ZOOM)
    options = parser.parse_args()
    print(*rows(views(options.rooms, options.zoom)), sep='\n')


if __name__ == '__main__':
    main()
