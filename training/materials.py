# SPDX-License-Identifier: Apache-2.0
"""Random materials from the textures of one split."""

import numpy as np

from training.world import Material, Vector


class Palette:
    """Draws materials from the textures of one split."""

    def __init__(self, rng: np.random.Generator, textures: dict[str, list[int]]) -> None:
        self._rng = rng
        self._textures = textures

    def draw(self, role: str) -> Material:
        """
        Draw a material.

        :param role: 'floor', 'wall' or 'object'.
        """
        rng = self._rng
        value = rng.uniform(0.35, 0.85) if role == 'wall' else rng.uniform(0.1, 0.8)
        tint = rng.uniform(0.08, 0.3) if role == 'wall' else rng.uniform(0.1, 0.8)
        hue = 1 + tint * rng.uniform(-1, 0.4, 3)
        base = np.clip(value * hue, 0.03, 0.95)
        contrast = rng.uniform(0.25, 0.6) * (1 if value < 0.45 else -1)
        accent = np.clip(base * (1 + contrast) + 0.3 * contrast * rng.uniform(0, 1, 3), 0.02, 1)
        u, v = rng.uniform(0, 2, 2).tolist()
        texture = int(rng.choice(self._textures[role]))
        return Material(texture, vector(base), vector(accent), (u, v))


def vector(values: np.ndarray) -> Vector:
    """Turn three numbers into a tuple of floats."""
    return float(values[0]), float(values[1]), float(values[2])
