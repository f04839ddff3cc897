# SPDX-License-Identifier: Apache-2.0
"""The metres that all contenders must give: transformers in float32, each image by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ...core.frame import Depth
from .device import operations
from .rivals import ByHand


class Reference:
    """Holds transformers by hand, and what it gave for the images seen so far."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load a checkpoint folder."""
        self.by_hand = ByHand(str(folder), str(device), 'fp32')
        self._depths: dict[tuple[int, int, int, bool], tuple[Depth, Depth]] = {}
        """With the overshoot and without."""
        self._operations: dict[tuple[int, int], int] = {}

    def difference(self, images: list[NDArray[np.uint8]], depths: list[Depth], *,
                   flip: bool) -> float:
        """
        Return the largest relative difference of a pixel from the reference.

        Values below 1 % of the largest count as that, as inverse depth far away; where the guide's
        bicubic resize overshoots at an edge the nearest value of its network is as good.

        :param images: of one size; an image's number in the list stands for its content.
        :param depths: metres that a contender gave for them.
        """
        expected = [self._depth(number, image, flip) for number, image in enumerate(images)]
        return max(_worst(depth, *good) for depth, good in zip(depths, expected, strict=True))

    def operations(self, image: NDArray[np.uint8]) -> int:
        """Return the floating-point operations that the network needs for one image."""
        height, width = image.shape[:2]
        if (height, width) not in self._operations:
            self._operations[height, width] = operations(
                self.by_hand.model, self.by_hand.pixels([image]))
        return self._operations[height, width]

    def _depth(self, number: int, image: NDArray[np.uint8], flip: bool) -> tuple[Depth, Depth]:
        key = (*image.shape[:2], number, flip)
        if key not in self._depths:
            with exact_float32():
                good = self.by_hand([image], flip=flip)[0]
                given = self.by_hand.predicted
                assert given is not None
                self._depths[key] = good, np.clip(good, float(given.min()), float(given.max()))
        return self._depths[key]


def _worst(depth: Depth, good: Depth, other: Depth) -> float:
    smallest = 0.01 * np.abs(good).max()
    error = np.minimum(np.abs(depth - good), np.abs(depth - other))
    return float(np.max(error / np.maximum(np.abs(good), smallest)))


@contextmanager
def exact_float32() -> Iterator[None]:
    """Keep cuDNN from rounding float32 to TF32, which it does by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
