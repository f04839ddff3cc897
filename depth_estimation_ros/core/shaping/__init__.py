# SPDX-License-Identifier: Apache-2.0
"""What is done to depth between the network and the outputs."""

import torch

from ..frame import Depth
from .edges import mask_edges
from .reduce import Reduction, reduce_depth
from .temporal import Moment, TemporalFilter


def without_edges(depth: Depth, jump: float, width: int) -> Depth:
    """Make the pixels at depth edges unknown, as :func:`.edges.mask_edges`, on the host."""
    masked: Depth = mask_edges(torch.from_numpy(depth), jump, width).numpy()
    return masked


def steadied(steady: TemporalFilter, depth: Depth, moment: Moment, memory: int,
             gate: float) -> Depth:
    """Return a frame's steady depth, as :class:`.temporal.TemporalFilter`, on the host."""
    found: Depth = steady(torch.from_numpy(depth), moment, memory, gate).numpy()
    return found


def reduced(depth: Depth, size: tuple[int, int], pick: str) -> Depth:
    """
    Make a depth image smaller, as :func:`.reduce.reduce_depth`, on the host.

    :param size: rows and columns, no more than the depth has.
    :param pick: 'nearest' or 'minimum'.
    """
    if size == depth.shape:
        return depth
    rows, columns = depth.shape
    cells = Reduction.to_size((rows, columns), *size)
    smaller: Depth = reduce_depth(torch.from_numpy(depth), cells, pick).numpy()
    return smaller
