"""Families with one image in and one map out, whose images DPT's processor prepares."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..frame import Frame
from ..resample import PilResizer
from .base import Quantity, Result, Size
from .preprocessing import Preprocessing


class SingleImage:
    """A network, what its numbers are, and how its images are prepared."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, quantity: Quantity,
                 range: tuple[float, float] | None = None, float32: tuple[str, ...] = ()) -> None:
        self.network, self.preprocessing = network.eval(), preprocessing
        self.quantity, self.range, self.float32 = quantity, range, float32
        self._resize = PilResizer()

    def size(self, height: int, width: int) -> Size:
        """Return the size at which the network sees an image; :raises ImageError: if it cannot."""
        return self.preprocessing.padded(self.preprocessing.resized(height, width))

    def inputs(self, image: Tensor, frame: Frame) -> tuple[Tensor, ...]:
        """Return the normalised pixels, float32, 3×height×width."""
        return (self.preprocessing.pixels(image, self._resize),)

    def result(self, outputs: tuple[Tensor, ...], frame: Frame) -> Result:
        """Bring the network's map to the image's size."""
        height, width = frame.image.shape[:2]
        return Result(self.preprocessing.depth(outputs[0], height, width), self.quantity)


class PredictedDepth(nn.Module):
    """A transformers model as a network: pixels in, its ``predicted_depth`` out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """Map normalised pixels, N×3×H×W, to depth, N×h×w."""
        return (self.model(cast(pixels, self.model)).predicted_depth.float(),)


def cast(pixels: Tensor, module: nn.Module) -> Tensor:
    """Return pixels in the precision of a module, in the order that convolutions want."""
    return pixels.to(dtype=next(module.parameters()).dtype, memory_format=torch.channels_last)
