# SPDX-License-Identifier: Apache-2.0
"""From radiance to the bytes of a camera: exposure, white balance, gamma, noise, rounding."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MEAN_LEVEL = (0.36, 0.52)  # what the automatic exposure aims at, after gamma
GAMMA = 2.2


@dataclass(frozen=True)
class Sensor:
    """The settings of one exposure."""

    level: float  # the image's mean after gamma
    white_balance: tuple[float, float, float]
    noise: float  # standard deviation of a full scale of 1
    seed: int  # of the noise


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Draw the settings of one exposure."""
    red, green, blue = rng.uniform(0.94, 1.06, 3).tolist()
    return Sensor(rng.uniform(*MEAN_LEVEL), (red, green, blue), rng.uniform(0, 0.02),
                  int(rng.integers(2**31)))


def expose(radiance: Tensor, sensor: Sensor) -> Tensor:
    """
    Take a picture.

    :param radiance: float32, (3, h, w), linear.
    :return: uint8, (3, h, w), RGB.
    """
    balance = torch.tensor(sensor.white_balance, device=radiance.device).view(3, 1, 1)
    signal = (radiance * balance).clamp_(min=1e-4) ** (1 / GAMMA)
    signal *= sensor.level / signal.mean()
    # drawn on the CPU, so that every device sees the same noise
    noise = torch.randn(signal.shape, generator=torch.Generator().manual_seed(sensor.seed))
    signal += noise.to(signal.device) * sensor.noise
    return (signal * 255).round_().clamp_(0, 255).to(torch.uint8)
