# SPDX-License-Identifier: Apache-2.0
"""Grey patterns of metric size, in families for training and held out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SIZE = 512  # texels a side
TILE_M = 2.0  # metres a side; every pattern repeats without a seam
VARIANTS = {'train': 12, 'held out': 4}  # differently seeded textures of each family

Pattern = Callable[[torch.Generator], Tensor]


@dataclass(frozen=True)
class Family:
    """One kind of pattern and the surfaces it may cover."""

    pattern: Pattern
    roles: frozenset[str]  # of 'floor', 'wall', 'object'
    held_out: bool

    @property
    def variants(self) -> int:
        """How many textures there are of it."""
        return VARIANTS['held out' if self.held_out else 'train']


FAMILIES: dict[str, Family] = {}


def family(*roles: str, held_out: bool = False) -> Callable[[Pattern], Pattern]:
    """
    Register a pattern under its function's name.

    :param roles: the surfaces that it may cover.
    :param held_out: used by evaluation only, never by training.
    """

    def register(pattern: Pattern) -> Pattern:
        FAMILIES[pattern.__name__] = Family(pattern, frozenset(roles), held_out)
        return pattern

    return register


def metres() -> tuple[Tensor, Tensor]:
    """Return the (u, v) coordinates of the texels, metres, each SIZE x SIZE."""
    axis = (torch.arange(SIZE) + 0.5) * (TILE_M / SIZE)
    v, u = torch.meshgrid(axis, axis, indexing='ij')
    return u, v


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """Draw one number from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def choice(generator: torch.Generator, options: list[float]) -> float:
    """Draw one of the options."""
    return options[int(torch.randint(len(options), (), generator=generator))]


def noise(generator: torch.Generator, cells_u: int, cells_v: int) -> Tensor:
    """Return smooth noise in [0, 1] that repeats, SIZE x SIZE, of cells_u x cells_v cells."""
    grid = torch.rand((1, 1, cells_v, cells_u), generator=generator)
    grid = F.pad(grid, (1, 1, 1, 1), mode='circular')
    scale = (cells_v + 2) * SIZE // cells_v, (cells_u + 2) * SIZE // cells_u
    wide = F.interpolate(grid, scale, mode='bicubic', align_corners=False)[0, 0]
    top, left = (scale[0] - SIZE) // 2, (scale[1] - SIZE) // 2
    return wide[top : top + SIZE, left : left + SIZE].clamp(0, 1)


def fractal(generator: torch.Generator, cells: int, octaves: int = 4) -> Tensor:
    """Return a sum of noise octaves, stretched to [0, 1]."""
    total = torch.zeros(SIZE, SIZE)
    for octave in range(octaves):
        total += noise(generator, cells << octave, cells << octave) * 0.6**octave
    return (total - total.min()) / (total.max() - total.min())


def per_cell(generator: torch.Generator, u: Tensor, v: Tensor) -> Tensor:
    """Return a random value in [0, 1] for each integer cell (u, v), wrapped at 64."""
    table = torch.rand((64, 64), generator=generator)
    return table[v.long() % 64, u.long() % 64]


def grout(u: Tensor, v: Tensor, width_u: float, width_v: float) -> Tensor:
    """Return 1 in the lines between unit cells and 0 inside, widths in cells."""
    return ((u % 1 < width_u) | (v % 1 < width_v)).float()


@family('floor', 'wall')
def tiles(generator: torch.Generator) -> Tensor:
    side = choice(generator, [0.25, 1 / 3, 0.4, 0.5])
    u, v = (axis / side for axis in metres())
    body = 0.25 * per_cell(generator, u, v) + 0.1 * fractal(generator, 8)
    return torch.where(grout(u, v, 0.02, 0.02) > 0, torch.tensor(0.9), body)


@family('floor')
def checker(generator: torch.Generator) -> Tensor:
    side = choice(generator, [0.25, 0.5])
    u, v = (axis / side for axis in metres())
    return 0.85 * ((u.floor() + v.floor()) % 2) + 0.15 * fractal(generator, 8)


@family('floor', 'object')
def planks(generator: torch.Generator) -> Tensor:
    u, v = metres()
    row = (v / choice(generator, [0.125, 0.2])).floor()
    shift = per_cell(generator, row, row * 0) * 2
    column = ((u + shift) % TILE_M).floor()
    seams = ((v / 0.125 % 1) < 0.03) | (((u + shift) % 1) < 0.006)
    grain = noise(generator, 4, 128) * 0.35
    return torch.where(seams, torch.tensor(1.0), 0.5 * per_cell(generator, column, row) + grain)


@family('wall', 'floor')
def bricks(generator: torch.Generator) -> Tensor:
    u, v = metres()
    row = (v / 0.1).floor()
    u = u / 0.25 + 0.5 * (row % 2)
    body = 0.4 * per_cell(generator, u % 8, row) + 0.2 * fractal(generator, 16)
    return torch.where(grout(u, v / 0.1, 0.04, 0.1) > 0, torch.tensor(0.95), body)


@family('floor', 'object')
def carpet(generator: torch.Generator) -> Tensor:
    return (0.5 * noise(generator, 128, 128) + 0.5 * fractal(generator, 4)).clamp(0, 1)


@family('floor', 'wall', 'object')
def concrete(generator: torch.Generator) -> Tensor:
    return fractal(generator, 3, 6)


@family('floor', 'object')
def terrazzo(generator: torch.Generator) -> Tensor:
    chips = noise(generator, 64, 64) > uniform(generator, 0.62, 0.72)
    return torch.where(chips, 0.6 + 0.4 * noise(generator, 32, 32), torch.tensor(0.1))


@family('floor', 'object')
def marble(generator: torch.Generator) -> Tensor:
    u, v = metres()
    warp = fractal(generator, 3, 5)
    return 0.5 + 0.5 * torch.sin(torch.pi * (u + v) * 2 + 9 * warp)


@family('object', 'floor')
def wood(generator: torch.Generator) -> Tensor:
    return 0.7 * noise(generator, 3, 64) + 0.3 * noise(generator, 8, 256)


@family('wall', 'object')
def stripes(generator: torch.Generator) -> Tensor:
    u, _ = metres()
    return ((u / choice(generator, [0.1, 0.2, 0.25])) % 1 < uniform(generator, 0.3, 0.7)).float()


@family('wall', 'object')
def dots(generator: torch.Generator) -> Tensor:
    side = choice(generator, [0.125, 0.2, 0.25])
    u, v = (axis / side % 1 - 0.5 for axis in metres())
    return (u.hypot(v) < uniform(generator, 0.15, 0.35)).float()


@family('wall', 'object')
def panels(generator: torch.Generator) -> Tensor:
    u, v = metres()
    lines = grout(u / choice(generator, [0.4, 0.5, 1.0]), v / 2.0, 0.02, 0.005)
    return (0.8 * lines + 0.2 * noise(generator, 4, 4)).clamp(0, 1)


@family('wall', 'object')
def plaster(generator: torch.Generator) -> Tensor:
    return 0.4 + 0.2 * fractal(generator, 6, 5)


@family('object', 'floor')
def weave(generator: torch.Generator) -> Tensor:
    u, v = (axis / choice(generator, [0.0625, 0.1]) for axis in metres())
    over = (u.floor() + v.floor()) % 2
    return torch.where(over > 0, (u % 1 - 0.5).abs(), 1 - (v % 1 - 0.5).abs())


@family('floor', 'object', held_out=True)
def ogees(generator: torch.Generator) -> Tensor:
    columns = 8
    u, v = metres()
    u, v = u * columns / TILE_M, v * columns / TILE_M
    centres = [(u.round(), v.round()), ((u - 0.5).round() + 0.5, (v - 0.5).round() + 0.5)]
    distances = torch.stack([(u - cu).abs().maximum(0.5 * (u - cu).abs() + 0.87 * (v - cv).abs())
                             for cu, cv in centres])
    first, second = distances.sort(0).values
    return torch.where(second - first < 0.03, torch.tensor(0.95), 0.3 * fractal(generator, 8))


@family('floor', held_out=True)
def basket(generator: torch.Generator) -> Tensor:
    u, v = (axis / 0.25 for axis in metres())
    across = (u.floor() + v.floor()) % 2 > 0
    seams = torch.where(across, grout(u * 3, v, 0.07, 0.02), grout(u, v * 3, 0.02, 0.07))
    return (seams + 0.4 * per_cell(generator, u, v)).clamp(0, 1)


@family('floor', 'object', held_out=True)
def diamonds(generator: torch.Generator) -> Tensor:
    u, v = metres()
    side = choice(generator, [0.25, 0.5])
    parity = (((u + v) / side).floor() + ((u - v) / side).floor()) % 2
    return 0.8 * parity + 0.2 * fractal(generator, 8)


@family('floor', 'object', held_out=True)
def cobbles(generator: torch.Generator) -> Tensor:
    cells = noise(generator, 16, 16) - noise(generator, 16, 16)
    return torch.where(cells.abs() < 0.05, torch.tensor(0.05), 0.5 + 0.5 * fractal(generator, 8))


@family('wall', 'object', held_out=True)
def brushed(generator: torch.Generator) -> Tensor:
    return 0.3 + 0.4 * noise(generator, 128, 4)


@family('wall', 'object', held_out=True)
def stipple(generator: torch.Generator) -> Tensor:
    return 0.35 + 0.3 * noise(generator, 64, 64) * fractal(generator, 4)


@family('wall', 'object', held_out=True)
def waves(generator: torch.Generator) -> Tensor:
    u, v = metres()
    crest = v * 5 + 0.15 * torch.sin(2 * torch.pi * u * choice(generator, [1.0, 2.0]))
    return 0.5 + 0.5 * torch.sin(2 * torch.pi * crest)


@family('wall', 'object', held_out=True)
def zigzag(generator: torch.Generator) -> Tensor:
    u, v = metres()
    fold = (u / 0.25 % 1 - 0.5).abs() * 0.25
    return (((v + fold) / choice(generator, [0.125, 0.25])) % 1 < 0.5).float()
