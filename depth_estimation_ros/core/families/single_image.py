# SPDX-License-Identifier: Apache-2.0
"""Families with one image in and one map out, whose images DPT's processor prepares."""

from __future__ import annotations

from torch import Tensor, nn

from ..frame import Frame
from .base import OneWay, Quantity, Size
from .preprocessing import Preprocessing


class SingleImage(OneWay):
    """A network, what its numbers are, and how its images are prepared."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, quantity: Quantity,
                 range: tuple[float, float] | None = None, float32: tuple[str, ...] = ()) -> None:
        self.network, self.preprocessing = network.eval(), preprocessing
        self.quantity, self.range, self.float32 = quantity, range, float32
        self.native, self.per_frame, self.needs_prompt = True, False, False

    def size(self, height: int, width: int) -> Size:
        """Return the size at which the network sees an image; :raises ImageError: if it cannot."""
        return self.preprocessing.padded(self.preprocessing.resized(height, width))

    def inputs(self, image: Tensor, frame: Frame) -> Tensor:
        """Return the normalised pixels, float32, 3×height×width."""
        return self.preprocessing.pixels(image)

    def mirrored(self, inputs: Tensor) -> Tensor:
        """Return a batch of inputs as those of the mirrored images."""
        return inputs.flip(-1)

    def result(self, values: Tensor, frame: Frame) -> Tensor:
        """Bring the network's map to the image's size."""
        height, width = frame.image.shape[:2]
        return self.preprocessing.depth(values, height, width)

    def quantity_of(self, frame: Frame) -> Quantity:
        """Return what the numbers are, the same for every frame."""
        return self.quantity

    def magnification(self, height: int, width: int) -> float | None:
        """Return how many of the network's pixels one of an image's becomes along x."""
        return self.preprocessing.resized(height, width).width / width

