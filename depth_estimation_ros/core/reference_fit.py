# SPDX-License-Identifier: Apache-2.0
"""The correction that a reference supports: chosen and tested on images that it was not fitted to.

Images are parted into four stretches; the first and the third are fitted to, the others are held
out, so that neighbours, which look alike, are not on both sides. A single image is parted by its
pixels; places that every image shows again are parted by place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .correction import Correction
from .evaluation.evaluation import UNIT_FACTOR
from .evaluation.metrics import depth_metrics
from .families.base import Quantity
from .floor import SIGMA
from .reference_candidates import CANDIDATES, Candidate
from .reference_pairs import Numbers, Pairs, UnusableReferenceError

STRETCHES = 4
"""Parts of a recording, fitted to and held out in turn."""

MIN_TO_PART = 20
"""Pairs of a single image that are parted; fewer are all fitted to."""

MIN_PLACES = 5
"""Places that every image shows again that are parted; two determine scale and shift exactly."""

SHIFT_RANGE = 1.5
"""How many times farther the farthest must be than the nearest, for a shift to be told from a
scale."""

EXTENT = (5.0, 95.0)
"""Percentiles of the distances that count as the nearest and the farthest."""

TRIMMED = 0.7
"""The share of the held-out pairs, those with the smallest errors, that decides: 30 % may be
outliers."""

CLEARLY_BETTER = 0.9
"""What part of the simpler correction's error a shift must bring it below."""

LEAST_GAIN = 0.002
"""The share of the distance by which a shift must lower the error besides."""

MAX_ERROR = 0.25
"""The trimmed relative error that depth may have after its correction."""

MAX_SPREAD = 0.15
"""How far the images may disagree about the scale, as a share of it."""

FARTHEST = 200.0
"""Metres; a reference whose median is farther, or a distance by hand, is in millimetres."""


@dataclass(frozen=True)
class Residuals:
    """What is left between depth and reference."""

    abs_rel: float
    delta1: float
    median: float
    """The median relative error, which outliers of the reference do not move."""

    def __str__(self) -> str:
        """Return the figures for a line."""
        return (f'AbsRel {self.abs_rel:.3f}, delta1 {self.delta1:.3f}, median error '
                f'{self.median:.1%}')

    @classmethod
    def of(cls, depth: Numbers, metres: Numbers) -> Residuals:
        """Compare metres with metres, one an entry."""
        found = depth_metrics(depth, metres)
        return cls(found.abs_rel, found.delta1, float(np.median(_errors(depth, metres))))


@dataclass(frozen=True)
class ReferenceFit:
    """A correction, and what speaks for it."""

    correction: Correction
    name: str
    """In the field's words."""
    spread: float
    """The robust standard deviation of the scale over the images, as a share of it; of a single
    image over its pairs."""
    before: Residuals | None
    """On the held-out pairs; None for a model without metres."""
    after: Residuals
    held_out: bool
    """Whether the residuals are of pairs that were not fitted to."""
    errors: Mapping[str, float]
    """The trimmed relative error of each candidate, by its name."""
    pairs: int
    frames: int
    nearest: float
    farthest: float
    note: str = ''
    """What could not be tried, and why."""


def fit_reference(pairs: Pairs, quantity: Quantity, least: int) -> ReferenceFit:
    """
    Choose and fit a correction.

    :param pairs: of all images; a value that is not finite, or is depth of 0 or less, is unknown.
    :param quantity: what the model's values are.
    :param least: how many pairs are asked.
    :raises UnusableReferenceError: when no correction can be trusted.
    """
    known = _known(pairs, quantity)
    _check(known, quantity, least)
    fitted, held, is_held_out = _halves(known)
    near, far = np.percentile(fitted.metres, EXTENT).tolist()
    candidates, note = _candidates(quantity, near, far, is_held_out)
    found = {each: correction for each in candidates
             if (correction := each.fit(fitted)) is not None and not correction.fault()}
    if not found:
        raise UnusableReferenceError(_why_none(candidates, fitted))
    errors = {each: trimmed_error(correction(held.values), held.metres)
              for each, correction in found.items()}
    chosen = _chosen(errors)
    spread = _spread(found[chosen], known)
    _check_errors(errors[chosen], spread, known)
    before = Residuals.of(held.values, held.metres) if quantity is Quantity.METRES else None
    return ReferenceFit(
        found[chosen], str(chosen), spread, before,
        Residuals.of(found[chosen](held.values).astype(np.float64), held.metres), is_held_out,
        {str(each): error for each, error in errors.items()}, len(known), _count(known), near,
        far, note)


def _known(pairs: Pairs, quantity: Quantity) -> Pairs:
    usable = np.isfinite(pairs.values) & np.isfinite(pairs.metres) & (pairs.metres > 0)
    if quantity is not Quantity.INVERSE_DEPTH:
        usable &= pairs.values > 0
    return pairs[usable]


def _count(pairs: Pairs) -> int:
    return len(np.unique(pairs.frames))


def _check(pairs: Pairs, quantity: Quantity, least: int) -> None:
    """Refuse too few pairs, and units that cannot be."""
    if len(pairs) < least:
        raise UnusableReferenceError(f'too few: {len(pairs)} pixels have both depth and a '
                                     f'reference, {least} are asked; do both look the same way, '
                                     'and is the transform right?')
    middle = float(np.median(pairs.metres))
    if quantity is Quantity.METRES:
        ratio = middle / float(np.median(pairs.values))
        if ratio > UNIT_FACTOR:
            raise UnusableReferenceError("the reference looks like millimetres: its median is "
                                         f"{ratio:.0f} times the depth's")
        if ratio < 1 / UNIT_FACTOR:
            raise UnusableReferenceError('the depth looks like millimetres: its median is '
                                         f"{1 / ratio:.0f} times the reference's")
    elif middle > FARTHEST:
        raise UnusableReferenceError('the reference looks like millimetres: its median is '
                                     f'{middle:.0f} m')


def _halves(pairs: Pairs) -> tuple[Pairs, Pairs, bool]:
    """Part pairs into what is fitted to and what is held out; the same where they are too few."""
    if pairs.places is not None:
        return _halves_by_place(pairs, pairs.places)
    numbers, places = np.unique(pairs.frames, return_inverse=True)
    if len(numbers) > 1:
        fitted = places * STRETCHES // max(len(numbers), STRETCHES) % 2 == 0
    elif len(pairs) >= MIN_TO_PART:
        fitted = np.random.default_rng(0).random(len(pairs)) < 0.5
    else:
        return pairs, pairs, False
    return pairs[fitted], pairs[~fitted], True


def _halves_by_place(pairs: Pairs, places: NDArray[np.int64]) -> tuple[Pairs, Pairs, bool]:
    """Hold out every second place by distance, so that both halves are of near and far."""
    numbers, first = np.unique(places, return_index=True)
    if len(numbers) < MIN_PLACES:
        return pairs, pairs, False
    by_distance = numbers[np.argsort(pairs.metres[first])]
    fitted = np.isin(places, by_distance[::2])
    return pairs[fitted], pairs[~fitted], True


def _candidates(quantity: Quantity, near: float, far: float,
                is_held_out: bool) -> tuple[list[Candidate], str]:
    """Return what can be tried, and why not all can."""
    every = list(CANDIDATES[quantity])
    simple = [each for each in every if not each.shifted]
    if far < SHIFT_RANGE * near:
        why = (f'too narrow a range of distances for a shift: {near:.2f} to {far:.2f} m, the '
               f'farthest must be {SHIFT_RANGE:g} times the nearest')
    elif simple and not is_held_out:
        why = (f'too few to hold some out, so no shift was tried: {MIN_PLACES} places of '
               f'different distances, or {MIN_TO_PART} pairs of one image, are needed')
    else:
        return every, '' if is_held_out else (
            f'nothing was held out to test this by: measure {MIN_PLACES} places or more')
    if not simple:
        raise UnusableReferenceError(f'{why}; a model that gives {quantity.value} needs a shift')
    return simple, why


def _why_none(candidates: list[Candidate], pairs: Pairs) -> str:
    """Say why no candidate gave a correction."""
    for each in candidates:
        correction = each.fit(pairs)
        if correction is not None:
            return correction.fault()
    return ("the depth does not rise with the reference's distance: are both of one camera and "
            'one moment, and is the quantity right?')


def trimmed_error(depth: np.ndarray, metres: Numbers) -> float:
    """
    Return the mean relative error of the pairs that agree best, TRIMMED of them.

    :param depth: metres, one an entry; NaN counts as an error of 1.
    :param metres: the reference's.
    """
    errors = np.sort(_errors(depth, metres))
    return float(errors[:max(1, round(TRIMMED * len(errors)))].mean())


def _errors(depth: np.ndarray, metres: Numbers) -> Numbers:
    return np.nan_to_num(np.abs(depth / metres - 1), nan=1.0)


def _chosen(errors: Mapping[Candidate, float]) -> Candidate:
    """Return the best one with a shift where it is clearly better, else the simple one."""
    best = min(errors, key=lambda each: errors[each])
    simple = next(iter(errors))
    is_clear = (errors[best] < CLEARLY_BETTER * errors[simple]
                and errors[best] < errors[simple] - LEAST_GAIN)
    return best if is_clear else simple


def _spread(correction: Correction, pairs: Pairs) -> float:
    """Return how far the images disagree about the scale, as a share of it."""
    ratios = pairs.metres / correction(pairs.values)
    if _count(pairs) > 1:
        ratios = np.array([np.nanmedian(each) if np.isfinite(each).any() else np.nan
                           for each in (ratios[pairs.frames == number]
                                        for number in np.unique(pairs.frames))])
    middle = np.nanmedian(ratios)
    return float(SIGMA * np.nanmedian(np.abs(ratios - middle)) / middle)


def _check_errors(error: float, spread: float, pairs: Pairs) -> None:
    """Refuse what does not agree."""
    if error > MAX_ERROR:
        raise UnusableReferenceError(
            f'depth and reference do not agree: after the best correction the depth is off by '
            f'{error:.0%} (mean of the better {TRIMMED:.0%} of the held-out pixels), '
            f'{MAX_ERROR:.0%} is allowed; are both of one camera, and is the transform right?')
    if _count(pairs) > 1 and spread > MAX_SPREAD:
        raise UnusableReferenceError(
            f'the images disagree: the scale spreads by {spread:.0%} from one to the next, '
            f'{MAX_SPREAD:.0%} is allowed, since no one number fits such a model')
