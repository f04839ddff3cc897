# SPDX-License-Identifier: Apache-2.0
"""Try other lenses in held-out rooms: `python -m training.focal` prints the table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from depth_estimation_ros.core.focal import FocalCorrection, ReferenceCamera
from depth_estimation_ros.resources import model_folder
from training.dataset import CPU, bank_on, camera_grid, is_corridor, make_scene, scene_rng
from training.render import render
from training.scene import FOCAL_PX, IMAGE_HEIGHT, IMAGE_WIDTH
from training.sensor import draw_sensor, expose
from training.world import Camera

ROOMS = 24
ZOOMS = (0.6, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
TRAINED = ReferenceCamera(sum(FOCAL_PX) / 2, IMAGE_WIDTH, IMAGE_HEIGHT)


@dataclass(frozen=True)
class Zoomed:
    """A room through another lens."""

    image: NDArray[np.uint8]  # (480, 640, 3), RGB
    depth: NDArray[np.float32]  # (480, 640), metres
    camera: Camera

    @property
    def focal(self) -> float:
        """Return fx, pixels."""
        return self.camera.intrinsics.fx


def zoomed(index: int, zoom: float) -> Zoomed:
    """
    Render a held-out scene as if its camera had a longer or a shorter lens.

    :param zoom: times the focal length of the scene's own.
    """
    rng = scene_rng('test', index)
    world, camera = make_scene(rng, 'test', is_corridor(index))
    own = camera.intrinsics
    lens = replace(own, fx=zoom * own.fx, fy=zoom * own.fy)
    camera = replace(camera, intrinsics=lens)
    picture = render(world, camera, *camera_grid(CPU), bank_on(CPU))
    image = expose(picture.radiance, draw_sensor(rng)).permute(1, 2, 0).contiguous().numpy()
    return Zoomed(image, picture.depth.numpy(), camera)


def compared(rooms: int, zooms: tuple[float, ...]) -> Iterator[tuple[float, list[DepthMetrics]]]:
    """
    Yield each zoom with the mean errors over the rooms: as it is, corrected, median aligned.

    :param rooms: how many; every fourth is a corridor.
    """
    estimator = DepthEstimator(EstimatorOptions(model_folder('demo'), device='cpu'))
    correction = FocalCorrection(TRAINED, estimator.family.magnification)
    for zoom in tqdm(zooms, unit='lens', disable=None):
        errors: list[list[DepthMetrics]] = [[], [], []]
        for seen in (zoomed(index, zoom) for index in range(rooms)):
            depth, = estimator.estimate([seen.image])
            factors = (1.0, correction.factor(IMAGE_HEIGHT, IMAGE_WIDTH, seen.focal),
                       float(np.median(seen.depth) / np.median(depth)))
            for each, factor in zip(errors, factors, strict=True):
                each.append(depth_metrics(factor * depth, seen.depth))
        yield zoom, [mean_metrics(each) for each in errors]
    estimator.close()


def table(rows: list[tuple[float, list[DepthMetrics]]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield ('| focal length, px at 640 wide | AbsRel | with reference_focal | median aligned '
           '| delta1 | with reference_focal |')
    yield '|---|---|---|---|---|---|'
    for zoom, (plain, corrected, aligned) in rows:
        yield (f'| {zoom * TRAINED.focal:.0f} ({zoom:g} times the trained) | {plain.abs_rel:.3f} '
               f'| {corrected.abs_rel:.3f} | {aligned.abs_rel:.3f} | {plain.delta1:.3f} '
               f'| {corrected.delta1:.3f} |')


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rooms', type=int, default=ROOMS)
    parser.add_argument('--zooms', type=float, nargs='+', default=ZOOMS)
    options = parser.parse_args()
    print(*table(list(compared(options.rooms, tuple(options.zooms)))), sep='\n')


if __name__ == '__main__':
    main()
