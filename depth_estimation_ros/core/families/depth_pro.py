# SPDX-License-Identifier: Apache-2.0
"""Depth Pro: metres from a canonical inverse depth and the camera's focal length."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DepthProForDepthEstimation

from ..checkpoint import Checkpoint
from ..errors import CheckpointError
from ..frame import Frame
from ..weights import load_model
from . import focal_length
from .base import Family, OneWay, Quantity, Size
from .preprocessing import Preprocessing

NEAREST, FARTHEST = 1e-4, 1e4
"""Metres between which transformers' post-processing clamps depth."""


class Network(nn.Module):
    """Canonical inverse depth, as it is and scaled by the estimated field of view."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """
        Map normalised pixels, N×3×H×W, to N×2×h×w.

        The first map is C, the second C · W / f, f by the estimated field of view.
        """
        output = self.model(pixels)
        inverse: Tensor = output.predicted_depth.float()
        degrees = output.field_of_view
        ratio = 1.0 if degrees is None else 2 * torch.tan(
            torch.deg2rad(degrees.float()) / 2).view(-1, 1, 1)
        return torch.stack((inverse, inverse * ratio), dim=1)


class DepthPro(OneWay):
    """
    One checkpoint.

    Its network gives C = f / (W · depth), f the focal length and W the image's width in pixels
    (Bochkovskii et al., Depth Pro, 2024, section 3.1). f is the frame's where the camera is
    calibrated, else what the network estimates from the picture, if it has the head for that.
    """

    quantity = Quantity.METRES
    range: tuple[float, float] | None = None
    float32: tuple[str, ...] = ()
    native = True
    per_frame = True
    needs_prompt = False

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, *,
                 estimates_focal: bool = True) -> None:
        self.network, self.preprocessing = network.eval(), preprocessing
        self._estimates_focal = estimates_focal

    def size(self, height: int, width: int) -> Size:
        """Return the one size at which the network sees images."""
        assert self.preprocessing.size is not None
        return self.preprocessing.size

    def inputs(self, image: Tensor, frame: Frame) -> Tensor:
        """
        Normalise, then resize without antialiasing.

        :return: float32, 3×height×width.
        :raises ImageError: when the frame's focal length is none.
        """
        focal_length.of(frame)
        pixels = self.preprocessing.normalised(image.permute(2, 0, 1))
        size = self.size(*image.shape[:2])
        return functional.interpolate(pixels[None], size, mode=self.preprocessing.kernel)[0]

    def mirrored(self, inputs: Tensor) -> Tensor:
        """Return a batch of inputs as those of the mirrored images."""
        return inputs.flip(-1)

    def result(self, values: Tensor, frame: Frame) -> Tensor:
        """
        Turn canonical inverse depth, 2×h×w, into metres by the focal length.

        :raises ImageError: when the frame's focal length is none.
        """
        height, width = frame.image.shape[:2]
        focal = focal_length.of(frame)
        inverse = values[1] if focal is None else values[0] * (width / focal)
        resized = functional.interpolate(inverse[None, None], (height, width),
                                         mode=self.preprocessing.kernel)
        return 1 / resized[0, 0].clamp(1 / FARTHEST, 1 / NEAREST)

    def quantity_of(self, frame: Frame) -> Quantity:
        """Return what the numbers are: relative where nobody tells the focal length."""
        known = self._estimates_focal or frame.focal_length is not None
        return self.quantity if known else Quantity.RELATIVE_DEPTH

    def magnification(self, height: int, width: int) -> None:
        """Return None: metres go by the focal length already."""


def depth_pro(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint.

    :raises CheckpointError: when it cannot be loaded, or another size than its own is asked for.
    :raises ValueError: when preprocessor_config.json holds what means nothing.
    """
    if height or width:
        raise CheckpointError(f"model '{checkpoint.name}' sees images at its own size only: set "
                              "'network.height' and 'network.width' to 0")
    settings = Preprocessing.from_config({
        'resample': 2, 'size': {'height': 1536, 'width': 1536}, **checkpoint.preprocessor})
    if settings.size is None:
        raise CheckpointError(f"model '{checkpoint.name}': preprocessor_config.json sets "
                              'do_resize to false, but the network has one size only')
    model = load_model(DepthProForDepthEstimation, checkpoint)
    smallest = min(model.config.scaled_images_ratios)
    settings.check_size(math.ceil(model.config.patch_size / smallest))
    return DepthPro(Network(model), settings, estimates_focal=bool(model.config.use_fov_model))
