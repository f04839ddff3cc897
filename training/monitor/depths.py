# SPDX-License-Identifier: Apache-2.0
"""The monitor's measures of depth: the demo model's, of rendered rooms, in order and faulty."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.floor import Floor, NotEnoughFloorError, find_floor
from depth_estimation_ros.core.floor_scale import agree
from depth_estimation_ros.core.live_floor import MIN_WATCHED
from depth_estimation_ros.core.maps import download
from depth_estimation_ros.resources import model_folder
from training import floor_rooms
from training.monitor.camera import draw_settings, photograph
from training.monitor.faults import covered
from training.monitor.rooms import Radiance, views
from training.monitor.trials import SEED, Trials

Depth = NDArray[np.float32]

FAR = 10.0
"""Metres, of the model."""

DOUBTED = 0.8
"""Of ``confidence.min``: where the two passes differ as much as delta1 allows."""

SCALES = (3.0, 10.0)
"""A calibration that is wrong by so much."""

FARS = (3.0, 2.0, 1.0)
"""A parameter ``far`` that is too near, metres."""

DRIFTS = (0.8, 0.9, 1.05, 1.1, 1.15, 1.2)
"""What the scale of metres becomes after it was calibrated."""

CALIBRATED = 10
"""Views of a room that give the scale; as many others are held against it."""


def measured_depths(split: str, rooms: int) -> Trials:
    """
    Look at the depth of rooms.

    :param split: 'validation', which limits are taken from, or 'test'.
    """
    estimator, trials = DepthEstimator(EstimatorOptions(model_folder('demo'), device='cpu',
                                                        backend='torch')), Trials()
    for index in tqdm(range(rooms), unit='room', desc=f'depth, {split}', disable=None):
        rng = np.random.default_rng([SEED, 1, index])
        light = next(views(split, index, 1))
        doubt(trials, estimator, light, rng)
        overstep(trials, estimator, light, rng)
        drift(trials, estimator, split, index)
    estimator.close()
    return trials


def doubt(trials: Trials, estimator: DepthEstimator, light: Radiance,
          rng: np.random.Generator) -> None:
    """Add the shares that ``confidence.min`` makes unknown."""
    dim = draw_settings(rng).with_level(0.02)
    seen = {'': photograph(light, draw_settings(rng)), 'mean level 5': photograph(light, dim)}
    for share in (0.5, 1.0):
        seen[f'{share:.0%} of the lens covered'] = photograph(
            covered(light, share, rng), draw_settings(rng))
    for degree, image in seen.items():
        found, = download(estimator.submit([image], flip=True)())()
        assert found.confidence is not None
        _add(trials, 'unknown', degree, float((found.confidence < DOUBTED).mean()))


def overstep(trials: Trials, estimator: DepthEstimator, light: Radiance,
             rng: np.random.Generator) -> None:
    """Add the shares that lie beyond ``far``."""
    depth = estimator.estimate([photograph(light, draw_settings(rng))])[0]
    _add(trials, 'out_of_range', '', float((depth > FAR).mean()))
    for scale in SCALES:
        far_off = scale * depth > FAR
        _add(trials, 'out_of_range', f'metres times {scale:g}', float(far_off.mean()))
    for far in FARS:
        _add(trials, 'out_of_range', f'far: {far:g}', float((depth > far).mean()))


def drift(trials: Trials, estimator: DepthEstimator, split: str, index: int) -> None:
    """Add by how much the floor disagrees with a scale that it gave before."""
    rng = np.random.default_rng([SEED, 2, index])
    seen = floor_rooms.room(index, rng, 2 * CALIBRATED, split)
    height, options = floor_rooms.as_measured(seen, rng, Quantity.METRES)
    floors: list[Floor | None] = []
    for camera in seen.cameras:
        image = floor_rooms.photograph(seen.world, camera, rng)
        depth = estimator.estimate([image])[0][::floor_rooms.STEP, ::floor_rooms.STEP]
        try:
            floors.append(find_floor(depth, seen.lens, options))
        except NotEnoughFloorError:
            floors.append(None)
    before, after = ([floor for floor in half if floor is not None]
                     for half in (floors[:CALIBRATED], floors[CALIBRATED:]))
    try:
        scale = agree(before, CALIBRATED, height).scale
    except NotEnoughFloorError:
        return
    if len(after) < MIN_WATCHED:
        return
    ratio = scale * float(np.median([floor.height for floor in after])) / height
    _add(trials, 'floor', '', abs(ratio - 1))
    for factor in DRIFTS:
        _add(trials, 'floor', f'metres times {factor:g}', abs(factor * ratio - 1))


def _add(trials: Trials, check: str, degree: str, value: float) -> None:
    (trials.faulty[check, degree] if degree else trials.healthy[check]).append(value)
