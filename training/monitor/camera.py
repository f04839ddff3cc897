# SPDX-License-Identifier: Apache-2.0
"""A camera in order: what is ordinary in exposure, focus, motion, noise and compression."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.monitor.rooms import Radiance
from training.sensor import Sensor, expose

LEVEL = (0.2, 0.6)
"""The mean after gamma: an exposure that is ordinary, not right."""

NOISE = (0.001, 0.03)
"""Standard deviations of a full scale of 1."""

DEFOCUS_PX = 0.8
"""Of 640 across; standard deviation, at most."""

MOTION_PX = 5.0
"""Of 640 across; the length of the path, at most."""

QUALITIES = (0, 0, 80, 90, 95)
"""Of JPEG; 0 is none."""


@dataclass(frozen=True)
class Settings:
    """Those of one camera while it looks at one room."""

    sensor: Sensor
    defocus: float
    motion: float
    direction: float
    quality: int

    def frame(self, number: int) -> 'Settings':
        """Return them for another frame: the noise is another."""
        return replace(self, sensor=replace(self.sensor, seed=self.sensor.seed + number))

    def with_level(self, level: float) -> 'Settings':
        """Return them with another exposure."""
        return replace(self, sensor=replace(self.sensor, level=level))


def draw_settings(rng: np.random.Generator) -> Settings:
    """Draw a camera in order."""
    red, green, blue = rng.uniform(0.94, 1.06, 3).tolist()
    sensor = Sensor(rng.uniform(*LEVEL), (red, green, blue), rng.uniform(*NOISE),
                    int(rng.integers(2**30)))
    return Settings(sensor, rng.uniform(0, DEFOCUS_PX), rng.uniform(0, MOTION_PX),
                    rng.uniform(0, np.pi), int(rng.choice(QUALITIES)))


def photograph(radiance: Radiance, camera: Settings) -> NDArray[np.uint8]:
    """Return a picture, uint8 RGB, of what comes through the lens, h×w×3."""
    seen = moved(defocused(radiance, camera.defocus), camera.motion, camera.direction)
    image = expose(torch.from_numpy(seen).permute(2, 0, 1), camera.sensor)
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return compressed(pixels, camera.quality) if camera.quality else pixels


def defocused(radiance: Radiance, pixels: float) -> Radiance:
    """Blur by a Gaussian of this standard deviation, of 640 pixels across."""
    sigma = pixels * radiance.shape[1] / 640
    return np.asarray(cv2.GaussianBlur(radiance, (0, 0), sigma)) if sigma > 0.1 else radiance


def moved(radiance: Radiance, pixels: float, direction: float) -> Radiance:
    """Blur along a straight path of this length, of 640 pixels across."""
    length = pixels * radiance.shape[1] / 640
    if length < 1:
        return radiance
    side = 2 * int(np.ceil(length / 2)) + 1
    path = np.zeros((side, side), np.float32)
    reach = np.array([np.cos(direction), np.sin(direction)]) * length / 2
    first, last = ([round(float(at)) for at in side // 2 + way * reach] for way in (-1, 1))
    cv2.line(path, first, last, 1.0, 1, cv2.LINE_AA)
    return np.asarray(cv2.filter2D(radiance, -1, path / path.sum()))


def compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return an image after JPEG."""
    _, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
