# SPDX-License-Identifier: Apache-2.0
"""Steady depth: a mean over the frames in which a pixel shows the same."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..frame import Image
from ..motion import is_inside, sample, seen_from
from ..pinhole import Pinhole
from ..rigid import Rigid
from .change import block_means, changed_blocks, of_pixels, warped_means

GAP = 2.0
"""Seconds without a frame after which the one before says nothing of this one."""

CUT = 0.5
"""The share of pixels with another depth from which on it is another scene."""

MOVED = 0.25
"""The share of what has texture that changes from which on it is the camera that moves: then its
motion has to be known."""

FADING = 0.9
"""What is left after a frame of a share that changed: it moves for some frames, not for one."""

COMPARED = 0.3
"""The share of pixels that must show the same for a scale to be told from them."""

STEP = 4
"""Every so many rows and columns tell the scale."""


@dataclass(frozen=True)
class Moment:
    """What is known of a frame beside its depth."""

    stamp: float
    """Seconds of the capture."""
    image: Image
    """uint8 RGB, H×W×3."""
    lens: Pinhole | None = None
    """Of the image; None where it is not known."""
    pose: Rigid | None = None
    """Where the camera was; None where it is not known."""
    source: Hashable = None
    """What the depth was made by: a model, a calibration. Another one makes another depth."""


@dataclass(frozen=True)
class State:
    """What is kept of the frames before."""

    moment: Moment
    inverse: Tensor
    """Filtered inverse depth, 1/m, H×W; NaN where unknown."""
    ages: Tensor
    """How many frames each pixel is the mean of, H×W."""
    means: Tensor
    """Of the image's blocks."""
    frames: Tensor
    """How many frames the scale is the mean of, of no dimension."""
    moving: Tensor
    """The share of what has texture that changed, fading; of no dimension."""

    def precedes(self, moment: Moment, depth: Tensor) -> bool:
        """Say whether a frame may follow the one that the state is of."""
        last = self.moment
        return (self.inverse.shape == depth.shape and self.inverse.device == depth.device
                and moment.source == last.source and moment.lens == last.lens
                and 0 < moment.stamp - last.stamp <= GAP)


@dataclass(frozen=True)
class Before:
    """The state as a frame's pixels see it."""

    inverse: Tensor
    ages: Tensor
    changed: Tensor
    """Which pixels' image shows something else."""
    frames: Tensor
    moving: Tensor
    follows: Tensor
    """Whether the frame can be told to show the same scene, of no dimension."""


@dataclass(frozen=True)
class Mean:
    """What a frame and those before make together."""

    inverse: Tensor
    ages: Tensor
    frames: Tensor
    same: Tensor
    """Which pixels are a mean with frames before."""
    follows: Tensor
    """Whether any is."""


class TemporalFilter:
    """
    Takes out of a camera's depth what changes from frame to frame while the view does not.

    Each pixel is a recursive mean of inverse depth, over at most ``memory`` frames. A pixel whose
    depth changes by more than the gate, or whose image changes, starts anew with this frame's
    depth at once. What all pixels change by in common, a network's scale, is taken apart first
    and has a mean of its own.

    Where the camera's motion is known the frame before is warped to this one's view: the inverse
    warp of T. Zhou et al. (SfMLearner, CVPR 2017) by this frame's depth, and the ratio of the two
    depths as J.-W. Bian et al. compare them (SC-SfMLearner, NeurIPS 2019). The gate then takes
    out what was hidden before.

    The host waits for nothing that is computed here, so on a GPU it goes on meanwhile.
    """

    def __init__(self) -> None:
        """Know no frame."""
        self._state: State | None = None
        self._same: Tensor | None = None

    @property
    def steadied(self) -> Tensor:
        """The share of the last frame's pixels that are a mean with frames before."""
        return torch.zeros(()) if self._same is None else self._same.float().mean()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._state = self._same = None

    def __call__(self, depth: Tensor, moment: Moment, memory: int, gate: float) -> Tensor:
        """
        Return a frame's steady depth.

        Frames of one camera are to come in the order of their stamps. The first, and one that
        cannot follow the one before, is returned as it is: another size, source or lens, a stamp
        that is not later or later by over 2 s, another scene, or a camera that moves while it is
        not known how.

        :param depth: float32 metres along Z (REP 118), H×W, before it is marked by any range; is
            not changed. What is NaN, infinite or not above 0 stays as it is, and no other pixel
            is made of it.
        :param memory: frames, at least 1.
        :param gate: relative change of depth from which a pixel starts anew.
        :return: float32, H×W, on the same device.
        """
        known = depth.isfinite() & (depth > 0)
        inverse = depth.reciprocal().where(known, torch.nan)
        means = block_means(moment.image, depth.device)
        state = self._state
        if state is None or not state.precedes(moment, inverse):
            self._same = None
            self._state = State(moment, inverse, torch.ones_like(inverse), means,
                                inverse.new_ones(()), inverse.new_zeros(()))
            return depth
        before = _before(state, moment, inverse, means)
        mean = _mean(before, inverse, memory, gate)
        self._same = mean.same
        self._state = State(moment, mean.inverse, mean.ages, means, mean.frames, before.moving)
        return torch.where(known & mean.follows, mean.inverse.reciprocal(), depth)


def _before(state: State, moment: Moment, inverse: Tensor, means: Tensor) -> Before:
    """Return the frames before as this one's pixels see them."""
    if moment.pose is None or state.moment.pose is None or moment.lens is None:
        return _standing(state, inverse, means)
    motion = state.moment.pose.inverse() @ moment.pose
    return _seen_moving(state, inverse, means, motion, moment.lens)


def _standing(state: State, inverse: Tensor, means: Tensor) -> Before:
    """Return the state where the camera stands; one that does not follow where it moves."""
    blocks, share = changed_blocks(means, state.means, warped=False)
    moving = torch.maximum(share, FADING * state.moving)
    return Before(state.inverse, state.ages, of_pixels(blocks, _size(inverse)), state.frames,
                  moving, moving <= MOVED)


def _seen_moving(state: State, inverse: Tensor, means: Tensor, motion: Rigid,
                 lens: Pinhole) -> Before:
    """Return the state warped to this frame's view."""
    columns, rows, ratio = seen_from(inverse.nan_to_num(0.0), motion, lens)
    warped, ages = sample(torch.stack((state.inverse, state.ages)), columns, rows)
    seen = is_inside(columns, rows, _size(inverse)) & (ratio > 0)
    blocks, _ = changed_blocks(means, warped_means(state.means, columns, rows), warped=True)
    return Before((warped * ratio).where(seen, torch.nan), ages,
                  of_pixels(blocks, _size(inverse)), state.frames, state.moving,
                  torch.ones_like(state.moving, dtype=torch.bool))


def _mean(before: Before, inverse: Tensor, memory: int, gate: float) -> Mean:
    """Return the means that this frame joins; it alone where it is of another scene."""
    ratio = inverse / before.inverse
    scale = _scale(ratio, before.changed, gate)
    residual = (ratio / scale - 1).abs()
    other = (residual >= gate).sum() / residual.isfinite().sum().clamp(min=1)
    follows = before.follows & (other <= CUT)
    scale = scale.where(follows, 1.0)
    frames = (before.frames + 1).clamp(max=memory).where(follows, 1.0)
    same = (residual < gate) & ~before.changed & follows
    ages = torch.where(same, before.ages + 1, 1.0).clamp(max=memory)
    # as if all pixels had changed by the mean of the scale only
    current = inverse * scale ** (1 / frames - 1)
    held = torch.where(same, before.inverse * scale ** (1 / frames), current)
    return Mean(torch.lerp(held, current, ages.reciprocal()), ages, frames, same, follows)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[0], maps.shape[1]


def _scale(ratio: Tensor, changed: Tensor, gate: float) -> Tensor:
    """Return by what all pixels changed in common, a median; 1 where too few can tell."""
    some, other = ratio[::STEP, ::STEP], changed[::STEP, ::STEP]
    same = ~other & ((some - 1).abs() < gate)
    median = some.where(same, torch.nan).nanmedian()
    return median.where(same.sum() > COMPARED * some.numel(), 1.0)
