# SPDX-License-Identifier: Apache-2.0
"""The patterns as textures with mip levels, all in one bank."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from training.patterns import FAMILIES, SIZE, TILE_M

LEVELS = 5  # mip levels, each half the size of the one before


@dataclass(frozen=True)
class TextureBank:
    """Every texture with its mip levels, flat in one uint8 tensor."""

    texels: Tensor  # uint8, (textures * sum of level sizes,), level by level
    offsets: Tensor  # int64, (LEVELS,), where each level starts
    names: tuple[str, ...]  # the family of each texture

    def indices(self, role: str, held_out: bool) -> list[int]:
        """Return the textures that may cover a surface of this role in this split."""
        allowed = {name for name, f in FAMILIES.items()
                   if role in f.roles and f.held_out == held_out}
        return [index for index, name in enumerate(self.names) if name in allowed]

    def to(self, device: torch.device) -> 'TextureBank':
        """Return the bank on another device."""
        return TextureBank(self.texels.to(device), self.offsets.to(device), self.names)

    def sample(self, texture: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
        """
        Look up patterns, bilinear within the mip level that matches the footprint.

        :param texture: int64, (n,), index of the texture.
        :param u: float32, (n,), metres; v alike.
        :param footprint: float32, (n,), metres on the surface that one pixel covers.
        :return: float32, (n,), in [0, 1].
        """
        level = (footprint * (SIZE / TILE_M)).log2().round_().clamp_(0, LEVELS - 1).long()
        size = SIZE >> level
        start = self.offsets[level] + texture * size * size
        column, right, across = wrapped(u, size)
        row, below, down = wrapped(v, size)
        row, below = start + row * size, start + below * size
        top = torch.lerp(self._at(row + column), self._at(row + right), across)
        bottom = torch.lerp(self._at(below + column), self._at(below + right), across)
        return torch.lerp(top, bottom, down)

    def _at(self, index: Tensor) -> Tensor:
        return self.texels[index].float().mul_(1 / 255)


def wrapped(metre: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two neighbouring texels along one axis and the weight of the second."""
    position = metre * (size / TILE_M) - 0.5
    low = position.floor()
    weight = position - low
    first = low.long() & (size - 1)
    return first, (first + 1) & (size - 1), weight


@lru_cache(maxsize=1)
def texture_bank() -> TextureBank:
    """Build all textures on the CPU; the same on every machine."""
    textures = [(name, variant) for name, family in FAMILIES.items()
                for variant in range(family.variants)]
    base = torch.stack([draw(name, variant) for name, variant in textures])
    levels = [base]
    while len(levels) < LEVELS:
        levels.append(F.avg_pool2d(levels[-1][:, None], 2)[:, 0])
    flat = [(level * 255).round().clamp(0, 255).to(torch.uint8).flatten() for level in levels]
    starts = torch.tensor([0] + [level.numel() for level in flat[:-1]]).cumsum(0)
    return TextureBank(torch.cat(flat), starts, tuple(name for name, _ in textures))


def draw(name: str, variant: int) -> Tensor:
    """Draw one texture of a family, float32, SIZE x SIZE, in [0, 1]."""
    seed = 1000 * sorted(FAMILIES).index(name) + variant
    return FAMILIES[name].pattern(torch.Generator().manual_seed(seed)).clamp(0, 1)
