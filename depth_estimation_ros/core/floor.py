# SPDX-License-Identifier: Apache-2.0
"""
The floor as a yardstick: a camera whose height is known sees how long a metre is.

A plane at distance h from the camera with the unit normal n (in the optical frame, towards the
plane) holds the points z r with n · z r = h, where r = ((u - cx) / fx, (v - cy) / fy, 1) is the
ray of a pixel. So 1 / z = m · r with m = n / h: inverse depth is affine in pixel coordinates, and
the camera's height is 1 / |m|. Depth too large by a factor sees the camera too high by it.

A relative model's q = a / z + b is affine too, by a m + b (0, 0, 1). One plane does not tell b,
but b is the value at the horizon, where 1 / z is 0, and a known pitch says where that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .families.base import Quantity
from .pinhole import Pinhole

MAX_SAMPLES = 4000
"""How many pixels of an image are looked at; more make the fit no better, only slower."""

HYPOTHESES = 400
"""Planes tried. With a quarter of the pixels on the floor 1 in 64 is right: 6 are expected."""

REFINEMENTS = 5

SIGMA = 1.4826
"""The standard deviation of normal noise over its median absolute deviation."""

OUTLIER = 2.5
"""Standard deviations from which on a pixel is an object's foot rather than floor."""

MIN_PIXELS = 20
"""Fewer are no plane to fit, only what three random pixels happened to agree with."""

BANDS = 8
"""Of rows, whose residuals tell whether a floor bends, and which a network errs in alike: so many
independent measurements a floor is taken for where they are held against a known pitch."""

SURE = 0.0175
"""The pitch's tolerance in radians, a degree, up to which it, not the floor's shape, says how the
plane lies."""

LEAST_TOLERANCE = 0.003
"""The share of inverse depth to which a fit is never narrowed further: quantised maps have it."""

FLOOR_ABOVE_LIMIT = 1.5
"""How many tolerances below the plane a pixel must lie to be seen through the floor."""


class NotEnoughFloorError(ValueError):
    """No floor that can be trusted; the text begins with 'not enough floor' and says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f'not enough floor: {reason}')


@dataclass(frozen=True)
class FloorOptions:
    """How the camera is mounted, and what is asked of a floor."""

    pitch: float | None = None
    """Radians by which the optical axis looks below the horizon; None where nobody knows."""
    pitch_tolerance: float = math.radians(3.0)
    """By how much the plane's tilt may differ from the pitch: three standard deviations of what
    was measured."""
    roll_tolerance: float = math.radians(6.0)
    """By how much the plane may lean to a side."""
    quantity: Quantity = Quantity.METRES
    """What the maps are."""
    tolerance: float = 0.03
    """How far inverse depth may be from the plane's, as a share of it, to be of the plane."""
    min_share: float = 0.12
    """The least share of the lower image that is floor."""
    max_bend: float = 0.02
    """By how much rows may be off the plane one way and others the other, as a share of it; of
    metres twice as much where the pitch is sure, since a bend misleads it less."""
    max_below: float = 0.05
    """The largest share of the lower image that may lie below the floor."""
    lower: float = 0.5
    """The share of the image's rows that are looked at, from the bottom."""

    @property
    def relative(self) -> bool:
        """Whether the maps are inverse depth of unknown scale and shift."""
        return self.quantity is Quantity.INVERSE_DEPTH

    @property
    def bend_limit(self) -> float:
        """The share that rows may be apart."""
        sure = self.pitch is not None and self.pitch_tolerance <= SURE
        return self.max_bend * (2 if sure and not self.relative else 1)


UNKNOWN_PITCH = math.radians(-5.0), math.radians(50.0)
"""What the pitch of a camera that sees floor is taken to be within, where it is not given."""


@dataclass(frozen=True)
class Floor:
    """The floor as one depth map has it."""

    height: float
    """Of the camera over the floor, in the map's own unit."""
    shift: float
    """The map's value at the horizon; 0 for metres."""
    pitch: float
    """Radians by which the optical axis looks below the horizon: measured, or as given."""
    roll: float
    """Radians."""
    share: float
    """The share of the lower image that is floor."""


def find_floor(depth: NDArray[np.floating], lens: Pinhole, options: FloorOptions, *,
               seed: int = 0) -> Floor:
    """
    Fit the floor to the lower part of a depth map, by RANSAC, then least squares.

    :param depth: what ``options.quantity`` says, H×W; NaN, Inf, and depth of 0 or less are
        unknown.
    :param seed: of the random planes that are tried: the same seed gives the same floor.
    :raises NotEnoughFloorError: when what is there cannot be trusted to be a floor.
    """
    if options.relative and options.pitch is None:
        raise ValueError('a relative model needs the pitch: its horizon tells the shift')
    values, rays = _samples(depth, lens, options)
    planes = _candidates(values, rays, np.random.default_rng(seed))
    planes = planes[[_tilt_fault(plane, options) == '' for plane in planes]]
    if not len(planes):
        raise NotEnoughFloorError('no plane with the tilt of a floor in the lower image')
    counts = [np.count_nonzero(_deviation(values, rays, plane, options) < options.tolerance)
              for plane in planes]
    if max(counts) < options.min_share * len(values) / 2:
        raise NotEnoughFloorError(_too_small(max(counts) / len(values), options))
    plane = planes[int(np.argmax(counts))]
    for _ in range(REFINEMENTS):
        plane = _refined(values, rays, plane, options)
    if fault := _tilt_fault(plane, options) or _support_fault(values, rays, plane, options):
        raise NotEnoughFloorError(fault)
    return _floor(values, rays, plane, options)


def _samples(depth: NDArray[np.floating], lens: Pinhole, options: FloorOptions,
             ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inverse depth and rays of an even grid over the lower image, where it is known."""
    height, width = depth.shape
    first = round(height * (1 - options.lower))
    step = max(1, math.ceil(math.sqrt((height - first) * width / MAX_SAMPLES)))
    rows, columns = np.mgrid[first:height:step, 0:width:step]
    sampled = depth[first::step, ::step].astype(np.float64)
    known = np.isfinite(sampled) if options.relative else np.isfinite(sampled) & (sampled > 0)
    if np.count_nonzero(known) < options.min_share * known.size:
        raise NotEnoughFloorError(f'only {known.mean():.0%} of the lower image has a depth')
    values = sampled[known] if options.relative else 1 / sampled[known]
    rays = np.stack([(columns[known] - lens.cx) / lens.fx, (rows[known] - lens.cy) / lens.fy,
                     np.ones(len(values))], axis=1)
    return values, rays


def _candidates(values: NDArray[np.float64], rays: NDArray[np.float64],
                rng: np.random.Generator) -> NDArray[np.float64]:
    """Return planes through three pixels each, as vectors m."""
    chosen = rng.integers(len(values), size=(HYPOTHESES, 3))
    corners = rays[chosen]
    spanned = np.abs(np.linalg.det(corners)) > 1e-4  # three pixels on a line tell no plane
    return np.linalg.solve(corners[spanned], values[chosen][spanned][..., None])[..., 0]


def _refined(values: NDArray[np.float64], rays: NDArray[np.float64],
             plane: NDArray[np.float64], options: FloorOptions) -> NDArray[np.float64]:
    """
    Fit by least squares to the pixels of a plane, the nearer the better the map is.

    A network bends a floor, and the plane through the bend has a wrong tilt and a wrong height. A
    known pitch is one more equation, m_z = tan(pitch) hypot(m_x, m_y), weighted as its tolerance
    and the residuals say: the most probable plane for normal errors of both.
    """
    deviation = _deviation(values, rays, plane, options)
    close = deviation < options.tolerance
    if np.count_nonzero(close) < MIN_PIXELS:
        return plane
    noise = SIGMA * float(np.median(deviation[close]))
    near = deviation < min(max(OUTLIER * noise, LEAST_TOLERANCE), options.tolerance)
    equations, sides = rays[near], values[near]
    if options.pitch is not None and not options.relative:
        row = _pitch_equation(plane, float(np.std(sides - equations @ plane)), len(sides), options)
        equations, sides = np.vstack((equations, row)), np.append(sides, 0.0)
    solution, *_ = np.linalg.lstsq(equations, sides, rcond=None)
    return np.asarray(solution)


def _pitch_equation(plane: NDArray[np.float64], noise: float, pixels: int,
                    options: FloorOptions) -> NDArray[np.float64]:
    """Return the equation of the known pitch, weighted for pixels of some noise."""
    assert options.pitch is not None
    slope = math.tan(options.pitch)
    deviation = math.hypot(plane[0], plane[1]) * (1 + slope**2) * options.pitch_tolerance / 3
    row = np.array([-slope * math.sin(_roll(plane)), -slope * math.cos(_roll(plane)), 1.0])
    return row * noise * math.sqrt(pixels / BANDS) / deviation


def _normal(pitch: float, roll: float) -> NDArray[np.float64]:
    """Return the unit vector down, in the optical frame."""
    return np.array([math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch),
                     math.sin(pitch)])


def _roll(plane: NDArray[np.float64]) -> float:
    return math.atan2(plane[0], plane[1])


def _pitch(plane: NDArray[np.float64]) -> float:
    return math.atan2(plane[2], math.hypot(plane[0], plane[1]))


def _tilt_fault(plane: NDArray[np.float64], options: FloorOptions) -> str:
    """Return why a plane does not lie as a floor does, or nothing."""
    if not abs(_roll(plane)) <= options.roll_tolerance:
        return f'the plane leans by {math.degrees(_roll(plane)):.1f} degrees to a side'
    if options.relative:
        return ''
    low, high = UNKNOWN_PITCH if options.pitch is None else (
        options.pitch - options.pitch_tolerance, options.pitch + options.pitch_tolerance)
    found = _pitch(plane)
    if low <= found <= high:
        return ''
    return (f'the plane has the tilt of a camera that looks {math.degrees(found):.1f} degrees '
            f'down, not {math.degrees(low):.1f} to {math.degrees(high):.1f}')


def _metric(plane: NDArray[np.float64],
            options: FloorOptions) -> tuple[NDArray[np.float64], float]:
    """Return a plane without the shift at its horizon, and that shift."""
    if not options.relative or options.pitch is None:
        return plane, 0.0
    per_height = math.hypot(plane[0], plane[1]) / math.cos(options.pitch)
    flat = per_height * _normal(options.pitch, _roll(plane))
    return flat, float(plane[2] - flat[2])


def _deviation(values: NDArray[np.float64], rays: NDArray[np.float64],
               plane: NDArray[np.float64], options: FloorOptions) -> NDArray[np.float64]:
    """Return how far pixels are from a plane, as a share of the plane's inverse depth."""
    flat, _ = _metric(plane, options)
    with np.errstate(divide='ignore', invalid='ignore'):
        deviation = np.abs(values - rays @ plane) / (rays @ flat)
    return np.where(rays @ flat > 0, deviation, np.inf)


def _support_fault(values: NDArray[np.float64], rays: NDArray[np.float64],
                   plane: NDArray[np.float64], options: FloorOptions) -> str:
    """Return why the pixels do not say that a plane is the floor, or nothing."""
    share = float(np.mean(_deviation(values, rays, plane, options) < options.tolerance))
    if share < options.min_share:
        return _too_small(share, options)
    flat, _ = _metric(plane, options)
    deeper = values < rays @ plane - FLOOR_ABOVE_LIMIT * options.tolerance * (rays @ flat)
    below = float(np.mean(deeper & (rays @ flat > 0)))
    if below > options.max_below:
        return (f'{below:.0%} of the lower image lies below the plane: it is a table, a ramp or a '
                'step')
    if (bend := _bend(values, rays, plane, options)) > options.bend_limit:
        return f'it is not flat but bends by {bend:.1%} from row to row, as a ramp ahead does'
    return ''


def _bend(values: NDArray[np.float64], rays: NDArray[np.float64],
          plane: NDArray[np.float64], options: FloorOptions) -> float:
    """Return how far apart rows of the plane are from it, as a share of inverse depth."""
    flat, _ = _metric(plane, options)
    near = _deviation(values, rays, plane, options) < options.tolerance
    residuals = (values - rays @ plane)[near] / (rays @ flat)[near]
    rows = rays[near, 1]
    edges = np.linspace(rows.min(), rows.max(), BANDS + 1)[1:-1]
    bands = [residuals[np.digitize(rows, edges) == band] for band in range(BANDS)]
    middles = [float(np.median(band)) for band in bands if len(band) >= MIN_PIXELS]
    return max(middles) - min(middles) if middles else 0.0


def _too_small(share: float, options: FloorOptions) -> str:
    return (f'no floor-like plane holds more than {share:.0%} of the lower image, '
            f'{options.min_share:.0%} is asked')


def _floor(values: NDArray[np.float64], rays: NDArray[np.float64], plane: NDArray[np.float64],
           options: FloorOptions) -> Floor:
    flat, shift = _metric(plane, options)
    share = float(np.mean(_deviation(values, rays, plane, options) < options.tolerance))
    return Floor(float(1 / np.linalg.norm(flat)), shift, _pitch(flat), _roll(flat), share)
