"""What is done to depth between the network and the outputs."""

import torch

from ..frame import Depth
from .edges import mask_edges


def without_edges(depth: Depth, jump: float, width: int) -> Depth:
    """Make the pixels at depth edges unknown, as :func:`.edges.mask_edges`, on the host."""
    masked: Depth = mask_edges(torch.from_numpy(depth), jump, width).numpy()
    return masked
