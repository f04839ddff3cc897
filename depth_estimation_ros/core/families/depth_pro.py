"""Depth Pro: metres from a canonical inverse depth and the camera's focal length."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DepthProForDepthEstimation

from ..checkpoint import Checkpoint
from ..errors import CheckpointError
from ..frame import Frame
from ..weights import load_model
from .base import Family, Quantity, Result, Size
from .preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from .single_image import cast

NEAREST, FARTHEST = 1e-4, 1e4
"""Metres between which transformers' post-processing clamps depth."""


class Network(nn.Module):
    """Canonical inverse depth and the horizontal field of view."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Map normalised pixels, N×3×H×W, to inverse depth, N×h×w, and degrees, N."""
        output = self.model(cast(pixels, self.model))
        outputs = (output.predicted_depth, output.field_of_view)
        return tuple(value.float() for value in outputs if value is not None)


class DepthPro:
    """
    One checkpoint.

    Its network gives C = f / (W · depth), f the focal length and W the image's width in pixels
    (Bochkovskii et al., Depth Pro, 2024, section 3.1). f is the frame's where the camera is
    calibrated, else what the network estimates from the picture.
    """

    quantity = Quantity.METRES
    range: tuple[float, float] | None = None
    float32: tuple[str, ...] = ()

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        self.network, self.preprocessing = network.eval(), preprocessing

    def size(self, height: int, width: int) -> Size:
        """Return the one size at which the network sees images."""
        assert self.preprocessing.size is not None
        return self.preprocessing.size

    def inputs(self, image: Tensor, frame: Frame) -> tuple[Tensor, ...]:
        """Normalise, then resize without antialiasing: float32, 3×height×width."""
        pixels = self.preprocessing.normalised(image.permute(2, 0, 1))
        size = self.size(*image.shape[:2])
        return (functional.interpolate(pixels[None], size, mode='bilinear')[0],)

    def result(self, outputs: tuple[Tensor, ...], frame: Frame) -> Result:
        """Turn canonical inverse depth into metres by the focal length."""
        height, width = frame.image.shape[:2]
        inverse = outputs[0] * self._ratio(outputs, frame, width)
        resized = functional.interpolate(inverse[None, None], (height, width), mode='bilinear')
        return Result(1 / resized[0, 0].clamp(1 / FARTHEST, 1 / NEAREST), Quantity.METRES)

    def _ratio(self, outputs: tuple[Tensor, ...], frame: Frame, width: int) -> Tensor | float:
        """Return the image's width over the focal length."""
        if frame.focal_length is not None:
            return width / frame.focal_length
        return 2 * torch.tan(torch.deg2rad(outputs[1]) / 2) if len(outputs) > 1 else 1.0


def depth_pro(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint.

    :raises CheckpointError: when it cannot be loaded, or another size than its own is asked for.
    """
    if height or width:
        raise CheckpointError(f"model '{checkpoint.name}' sees images at its own size only: set "
                              "'network.height' and 'network.width' to 0")
    settings = Preprocessing.from_config({
        'resample': 2, 'size': {'height': 1536, 'width': 1536}, 'image_mean': IMAGENET_MEAN,
        'image_std': IMAGENET_STD, **checkpoint.preprocessor})
    model = load_model(DepthProForDepthEstimation, checkpoint)
    return DepthPro(Network(model), settings)
