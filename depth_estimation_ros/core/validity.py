# SPDX-License-Identifier: Apache-2.0
"""Depth values that say what they are, by REP 117."""

import numpy as np
from numpy.typing import NDArray


def apply_range(depth: NDArray[np.float32], near: float, far: float) -> NDArray[np.float32]:
    """
    Mark, in place, the pixels outside the range as REP 117 asks, and return the array.

    A side on which there are none costs one look at its extreme.

    :param depth: float32 metres; NaN stays NaN (unknown).
    :param near: metres; nearer than this becomes -Inf.
    :param far: metres; farther than this becomes +Inf.
    """
    if not depth.min() >= near:  # NaN too says nothing of the others
        np.copyto(depth, -np.inf, where=depth < near)
    if not depth.max() <= far:
        np.copyto(depth, np.inf, where=depth > far)
    return depth


def unknown_share(depth: NDArray[np.float32]) -> float:
    """Return the share of pixels that are NaN; quick where there are none."""
    if not np.isnan(depth.min()):
        return 0.0
    return float(np.count_nonzero(np.isnan(depth)) / depth.size)
