# SPDX-License-Identifier: Apache-2.0
"""Flying pixels: depth that a network draws between two surfaces where there is nothing."""

import torch
from torch import Tensor


def mask_edges(depth: Tensor, jump: float, width: int) -> Tensor:
    """
    Make the pixels at depth edges unknown.

    An edge lies between two neighbours in a row or a column of which one is farther than the
    other by more than ``jump``; a pixel of +Inf is farther than any distance. NaN makes no edge.

    :param depth: float32 metres along Z (REP 118), H×W; is not changed.
    :param jump: the relative difference of two neighbours that makes an edge: 0.05 is 5 %.
    :param width: how many pixels on either side of an edge become NaN; 0 leaves all.
    :return: float32, H×W, on the same device.
    """
    if width < 1:
        return depth
    edge = torch.zeros(depth.shape, dtype=torch.bool, device=depth.device)
    for axis in (0, 1):
        _mark(edge, depth, axis, 1 + jump)
    for axis in (0, 1):
        edge = _widened(edge, axis, width - 1)
    return depth.masked_fill(edge, torch.nan)


def _mark(edge: Tensor, depth: Tensor, axis: int, ratio: float) -> None:
    """Mark both pixels of each pair along an axis that an edge lies between."""
    count = depth.shape[axis] - 1
    if count < 1:
        return
    first, second = depth.narrow(axis, 0, count), depth.narrow(axis, 1, count)
    far_apart = (first > second * ratio) | (second > first * ratio)
    edge.narrow(axis, 0, count).logical_or_(far_apart)
    edge.narrow(axis, 1, count).logical_or_(far_apart)


def _widened(edge: Tensor, axis: int, by: int) -> Tensor:
    """Spread the marks along an axis by a number of pixels both ways."""
    wide = edge.clone()
    for distance in range(1, min(by, edge.shape[axis] - 1) + 1):
        count = edge.shape[axis] - distance
        wide.narrow(axis, distance, count).logical_or_(edge.narrow(axis, 0, count))
        wide.narrow(axis, 0, count).logical_or_(edge.narrow(axis, distance, count))
    return wide
