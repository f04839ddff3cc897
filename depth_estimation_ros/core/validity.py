# SPDX-License-Identifier: Apache-2.0
"""Depth values that say what they are, by REP 117 and REP 118."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_MILLIMETRES = 65535


def mark_range(depth: Tensor, near: float, far: float) -> Tensor:
    """
    Mark the pixels outside the range as REP 117 asks, and return the map.

    On a CPU NumPy marks, in half of torch's time, and a side on which there are none costs one
    look at its extreme; on a GPU that look would wait for the device.

    :param depth: float32 metres, of any shape, on any device; on a CPU it is changed. NaN stays
        NaN (unknown).
    :param near: metres; nearer than this becomes -Inf.
    :param far: metres; farther than this becomes +Inf.
    """
    if depth.device.type != 'cpu':
        return _marked(depth, near, far)
    values = depth.numpy()
    if not values.min() >= near:  # NaN too says nothing of the others
        np.copyto(values, -np.inf, where=values < near)
    if not values.max() <= far:
        np.copyto(values, np.inf, where=values > far)
    return depth


def _marked(depth: Tensor, near: float, far: float) -> Tensor:
    return depth.masked_fill(depth < near, -torch.inf).masked_fill(depth > far, torch.inf)


def millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """
    Return depth in the other form of REP 118, 16UC1.

    :param depth: float32 metres.
    :return: uint16 millimetres of the same shape; 0 where there is no distance, as for NaN and
        Inf, and where it is under half a millimetre or beyond 65.535 m.
    """
    with np.errstate(over='ignore'):
        whole = np.rint(depth * np.float32(1000))
    with np.errstate(invalid='ignore'):
        return np.where((whole > 0) & (whole <= MOST_MILLIMETRES), whole, 0).astype(np.uint16)


def unknown_share(depth: NDArray[np.float32]) -> float:
    """Return the share of pixels that are NaN; quick where there are none."""
    if not np.isnan(depth.min()):
        return 0.0
    return float(np.count_nonzero(np.isnan(depth)) / depth.size)


def out_of_range_share(depth: NDArray[np.float32]) -> float:
    """Return the share of pixels that are +Inf or -Inf."""
    return float(np.count_nonzero(np.isinf(depth)) / depth.size)
