# SPDX-License-Identifier: Apache-2.0
"""Faults, each by degrees: what becomes of the light, of the exposure, or of the picture."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.monitor.camera import Settings, defocused
from training.monitor.rooms import Radiance

EDGE = 0.03
"""How soft the edge of what lies on a lens is, as a share of the picture's sides."""


@dataclass(frozen=True)
class Fault:
    """One degree of a fault."""

    check: str
    """The check of the monitor that is to see it."""
    degree: str
    light: Callable[[Radiance, np.random.Generator], Radiance] = lambda light, rng: light
    settings: Callable[[Settings], Settings] = lambda settings: settings


def covered(light: Radiance, share: float, rng: np.random.Generator) -> Radiance:
    """Cover a side of the picture by something dim on the lens, out of focus."""
    rows, columns = light.shape[:2]
    down, across = np.mgrid[:rows, :columns].astype(np.float32)
    down, across = down / rows, across / columns
    angle, wave, phase = rng.uniform(0, 2 * np.pi), rng.uniform(8, 14), rng.uniform(0, 6)
    place = np.cos(angle) * across + np.sin(angle) * down + 0.08 * np.sin(wave * down + phase)
    far = (place - np.quantile(place, 1 - share)) / EDGE if share < 1 else np.full_like(place, 9)
    opaque = 1 / (1 + np.exp(-np.clip(far, -30, 30)))[..., None]
    colour = np.array([1, 0.6, 0.5]) * rng.uniform(0.02, 0.5) * light.mean()
    glow = cv2.resize(rng.normal(1, 0.5, (3, 3)).astype(np.float32), (columns, rows),
                      interpolation=cv2.INTER_CUBIC)[..., None].clip(0.2)
    return np.asarray(light * (1 - opaque) + colour * glow * opaque, np.float32)


def with_clock(image: NDArray[np.uint8], second: int) -> NDArray[np.uint8]:
    """Return an image with the time of day drawn in, as surveillance cameras do."""
    drawn: NDArray[np.uint8] = image.copy()
    cv2.putText(drawn, f'12:00:{second:02}', (10, image.shape[0] - 10), cv2.FONT_HERSHEY_PLAIN,
                1.0, (255, 255, 255))
    return drawn


def _level(check: str, level: float) -> Fault:
    return Fault(check, f'mean level {255 * level:.0f}',
                 settings=lambda camera: camera.with_level(level))


def _defocus(pixels: float) -> Fault:
    return Fault('blurred', f'out of focus, {pixels:g} px',
                 lambda light, rng: defocused(light, pixels))


def _motion(pixels: float) -> Fault:
    return Fault('blurred', f'moved by {pixels:g} px', settings=lambda camera: replace(
        camera, motion=pixels))


def _cover(share: float) -> Fault:
    return Fault('covered', f'{share:.0%} of the picture',
                 lambda light, rng: covered(light, share, rng))


SINGLE = (*(_level('dark', level) for level in (0.02, 0.05, 0.08)),
          *(_level('saturated', level) for level in (0.8, 0.95, 1.2)),
          *(_defocus(pixels) for pixels in (2, 3, 4, 6, 10)),
          *(_motion(pixels) for pixels in (10, 20, 40)))
"""What one image shows."""

LASTING = tuple(_cover(share) for share in (0.3, 0.5, 0.7, 0.9, 1.0))
"""What the views of a turning robot show."""
