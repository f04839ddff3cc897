# SPDX-License-Identifier: Apache-2.0
"""How steady depth is over the frames of a video, and how late a filter makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from ..motion import is_inside, sample, seen_from
from ..pinhole import Pinhole
from ..rigid import Rigid

Maps = NDArray[np.float32]
Mask = NDArray[np.bool_]

SAME = 0.01
"""Relative difference of true depth up to which a pixel shows the point that is followed."""

ENOUGH = 0.7
"""The share of the frames that a point must be seen in to count."""

STEP = 0.1
"""Change of log depth from one frame to the next that is an edge passing by."""

STILL = 0.03
"""Change of log depth up to which a pixel stays what it became."""


@dataclass(frozen=True)
class Video:
    """What is true of the frames of a video."""

    depth: Maps
    """Metres along Z, N×H×W."""
    poses: Sequence[Rigid]
    """Where the camera was, for each frame."""
    lens: Pinhole
    static: Mask
    """Which pixels show what does not move, N×H×W."""

    def motion(self, first: int, second: int) -> Rigid:
        """Return what takes points of the first frame's optical frame into the second's."""
        return self.poses[second].inverse() @ self.poses[first]


def flicker(depth: Maps, video: Video, frames: Sequence[int], stride: int = 8) -> float:
    """
    Return the standard deviation over time of log depth at points that do not move.

    The pixels of the first frame are followed through the others by the true depth and motion;
    where the camera moves, log depth is taken relative to the true one, which moves as well.

    :param depth: metres, N×H×W.
    :param frames: those that are looked at, one after the other.
    :param stride: every so many rows and columns of the first one.
    :return: the mean over the points that are seen in most of the frames.
    """
    rows, columns = np.mgrid[stride:depth.shape[1] - stride:stride,
                             stride:depth.shape[2] - stride:stride]
    tracks = np.stack([_track(depth, video, frames[0], other, rows, columns)
                       for other in frames])
    seen = np.isfinite(tracks).sum(0) >= ENOUGH * len(frames)
    return float(np.nanstd(tracks[:, seen], axis=0).mean())


def _track(depth: Maps, video: Video, first: int, other: int, rows: NDArray[np.int64],
           columns: NDArray[np.int64]) -> Maps:
    """Return log depth over the true one where points of the first frame are in another."""
    true = torch.from_numpy(video.depth[first])
    u, v, ratio = (each[rows, columns] for each in seen_from(
        true.reciprocal(), video.motion(first, other), video.lens))
    maps = np.stack([depth[other], video.depth[other],
                     video.static[first] & video.static[other]]).astype(np.float32)
    found, truth, static = sample(torch.from_numpy(maps), u, v)
    followed = (is_inside(u, v, (depth.shape[1], depth.shape[2])) & (static == 1)
                & ((truth / (true[rows, columns] * ratio) - 1).abs() < SAME))
    residual: Maps = (found / truth).log().where(followed, torch.nan).numpy()
    return residual


def temporal_alignment_error(depth: Maps, video: Video, frames: Sequence[int]) -> float:
    """
    Return TAE: how far each frame's depth, moved to the next frame's view, differs from its own.

    S. Chen et al., Video Depth Anything, CVPR 2025: AbsRel between the points of a frame, taken
    by the camera's motion into the next frame and rounded to its pixels, and the next frame's
    depth; and the same from the next frame back; the mean of both over all pairs. The nearest
    point of a pixel counts. Metric depth is not aligned first.

    :param depth: metres, N×H×W.
    :param frames: those that are looked at, one after the other.
    """
    errors = [_alignment_error(depth, video, *pair)
              for first, second in pairwise(frames)
              for pair in ((first, second), (second, first))]
    return float(np.mean(errors))


def _alignment_error(depth: Maps, video: Video, first: int, second: int) -> float:
    here = torch.from_numpy(depth[first])
    u, v, ratio = seen_from(here.reciprocal(), video.motion(first, second), video.lens)
    inside = is_inside(u.round(), v.round(), (here.shape[0], here.shape[1])) & (ratio > 0)
    taken = (inside & torch.from_numpy(video.static[first])).numpy()
    moved = np.full(here.shape, np.inf, np.float32)
    np.minimum.at(moved, (v.round().long().numpy()[taken], u.round().long().numpy()[taken]),
                  (here * ratio).numpy()[taken])
    compared = np.isfinite(moved) & video.static[second]
    return float((np.abs(moved - depth[second]) / depth[second])[compared].mean())


def edge_lag(depth: Maps, plain: Maps, truth: Maps, frames: Sequence[int],
             settle: int = 4) -> float:
    """
    Return by how many frames filtered depth is late where an edge passes a pixel.

    Taken where true depth steps and then stays, and plain depth steps as well: the area between
    the two responses to the step, over its height. A recursive mean with a gain g is
    (1 - g) / g frames late, a delay by n frames n. Below 0 is ahead of plain depth.

    :param depth: filtered, metres, N×H×W.
    :param plain: the same without the filter.
    :param truth: the true depth.
    :param frames: those that are looked at, one after the other, from the second on.
    :param settle: frames for which the true depth has to stay.
    """
    filtered, unfiltered, true = (np.log(each) for each in (depth, plain, truth))
    late = height = 0.0
    for frame in frames[1:len(frames) - settle]:
        after = range(frame, frame + settle)
        step = true[frame] - true[frame - 1]
        response = unfiltered[frame + settle - 1] - unfiltered[frame - 1]
        passed = (np.abs(step) > STEP) & (response * step > 0) & (np.abs(response) > STEP / 2)
        for other in after:
            passed &= np.abs(true[other] - true[frame]) < STILL
        late += sum(float(((unfiltered[other] - filtered[other]) * np.sign(step))[passed].sum())
                    for other in after)
        height += float(np.abs(response[passed]).sum())
    return late / height if height else 0.0


def surface_lag(depth: Maps, plain: Maps, truth: Maps, moving: Mask,
                frames: Sequence[int]) -> float:
    """
    Return by how many frames filtered depth is late on a surface that comes nearer or goes.

    The least-squares factor between how far filtered depth is behind plain depth, in log, and by
    how much the true depth changes in a frame.

    :param moving: which pixels show what moves, N×H×W.
    """
    late = square = 0.0
    for frame in frames[1:]:
        step = np.log(truth[frame] / truth[frame - 1])
        taken = moving[frame] & moving[frame - 1] & (np.abs(step) < STILL)
        behind = np.log(plain[frame] / depth[frame])
        late += float((behind * step)[taken].sum())
        square += float((step * step)[taken].sum())
    return late / square if square else 0.0
