# SPDX-License-Identifier: Apache-2.0
"""The monitor's measures of rendered rooms, by cameras in order and by faulty ones."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from depth_estimation_ros.core.monitor.alarm import HOLD
from depth_estimation_ros.core.monitor.cover import Coverage
from depth_estimation_ros.core.monitor.look import Look, look_at, sample_of
from depth_estimation_ros.core.monitor.still import changed_share
from depth_estimation_ros.ros.monitor import PERIOD
from depth_estimation_ros.ros.monitor_checks import CHECKS
from training.monitor.camera import Settings, compressed, draw_settings, photograph
from training.monitor.faults import LASTING, SINGLE, Fault, with_clock
from training.monitor.rivals import rival_badness
from training.monitor.roc import Roc
from training.monitor.rooms import Radiance, views

SEED = 41
LOOKS = 2
"""Pictures of each room by cameras in order."""

TURNED, TURNS = 32, 3
"""Views of a robot that turns once round, and how often it does."""

HALF = 2
"""Every so many pixels are rendered for those: the monitor looks at no more."""

NOISELESS = 0.002
"""The standard deviation of a sensor's noise, of a full scale of 1, that is little."""

Key = tuple[str, str]
"""A check, or a rival measure, and a degree of a fault."""


@dataclass
class Trials:
    """Measures of many images; larger is worse."""

    healthy: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    faulty: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))

    def rocs(self) -> Iterator[tuple[Key, Roc]]:
        """Yield each degree of each fault against the healthy images, by rival measures too."""
        for (check, degree), values in self.faulty.items():
            yield (check, degree), Roc(np.array(self.healthy[check]), np.array(values))


def measured(split: str, rooms: int) -> Trials:
    """
    Look at rooms.

    :param split: 'validation', which limits are taken from, or 'test'.
    :param rooms: how many; every second one has plain walls.
    """
    trials = Trials()
    for index in tqdm(range(rooms), unit='room', desc=split, disable=None):
        rng = np.random.default_rng([SEED, index])
        light = next(views(split, index, 1))
        look_once(trials, light, rng)
        look_twice(trials, light, rng)
        look_around(trials, list(views(split, index, TURNED, HALF)), rng)
    return trials


def look_once(trials: Trials, light: Radiance, rng: np.random.Generator) -> None:
    """Add what single images show."""
    for _ in range(LOOKS):
        image = photograph(light, draw_settings(rng))
        look = look_at(image)
        for check in ('dark', 'saturated', 'blurred'):
            trials.healthy[check].append(badness(look, check))
        for rival, value in rival_badness(image).items():
            trials.healthy[rival].append(value)
    for fault in SINGLE:
        image = photograph(fault.light(light, rng), fault.settings(draw_settings(rng)))
        trials.faulty[fault.check, fault.degree].append(badness(look_at(image), fault.check))
        if fault.check == 'blurred':
            for rival, value in rival_badness(image).items():
                trials.faulty[rival, fault.degree].append(value)


def badness(look: Look, check: str) -> float:
    """Return a measure so that larger is worse; least where the image cannot tell."""
    value = {'dark': look.luma, 'saturated': look.saturated, 'blurred': look.sharpness}[check]
    if value is None:
        return -np.inf
    return -value if CHECKS[check].below else value


def look_twice(trials: Trials, light: Radiance, rng: np.random.Generator) -> None:
    """Add pairs of images of a robot that stands: of a live camera, and of a frozen one."""
    camera, quality = draw_settings(rng), int(rng.choice((0, 50, 80, 95)))
    for noise in (camera.sensor.noise, NOISELESS):
        first, second = (_still(light, noise, seed, quality)
                         for seed in rng.integers(2**30, size=2))
        trials.healthy['frozen'].append(-changed(first, second))
    trials.faulty['frozen', 'the same bytes'].append(-changed(first, first))
    trials.faulty['frozen', 'a clock goes on in it'].append(
        -changed(with_clock(first, 7), with_clock(first, 8)))


def _still(light: Radiance, noise: float, seed: int, quality: int) -> NDArray[np.uint8]:
    level = np.clip(light, 1e-4, None) ** (1 / 2.2)
    level *= 0.4 / level.mean()
    level = level + np.random.default_rng(seed).normal(0, noise, level.shape)
    image = np.rint(255 * level).clip(0, 255).astype(np.uint8)
    return compressed(image, quality) if quality else image


def changed(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the share of bytes that the monitor sees changed."""
    return changed_share(sample_of(first), sample_of(second))


def look_around(trials: Trials, lights: list[Radiance], rng: np.random.Generator) -> None:
    """Add what a turning robot's views show: a lens that is free, and covered ones."""
    for fault in (Fault('covered', ''), *LASTING):
        camera, seed, coverage = halved(draw_settings(rng)), int(rng.integers(2**30)), Coverage()
        seen = [look_at(photograph(fault.light(light, np.random.default_rng(seed)),
                                   camera.frame(number))).tiles
                for number, light in enumerate(lights)]
        shares = [coverage.observe(tiles, number * PERIOD)
                  for number, tiles in enumerate(seen * TURNS)]
        of = trials.faulty[fault.check, fault.degree] if fault.degree else (
            trials.healthy[fault.check])
        of.append(lasting(shares))


def halved(camera: Settings) -> Settings:
    """Return the camera that sees means over squares of :data:`HALF` pixels: less noise."""
    return replace(camera, sensor=replace(camera.sensor, noise=camera.sensor.noise / HALF))


def lasting(shares: list[float]) -> float:
    """Return the largest share that lasted for as long as an alarm takes."""
    looks = 1 + round(HOLD / PERIOD)
    return max(min(shares[start:start + looks]) for start in range(len(shares) - looks + 1))
