# SPDX-License-Identifier: Apache-2.0
"""Depth Anything, versions 1 and 2: inverse depth, or metres where the checkpoint says metric."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import DepthAnythingForDepthEstimation

from ..checkpoint import Checkpoint
from ..weights import load_model
from . import dinov2
from .base import Family, Quantity
from .preprocessing import Preprocessing
from .single_image import SingleImage


class Network(nn.Module):
    """Backbone, neck and head, chained as in ``DepthAnythingForDepthEstimation``."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.patch: int = original.config.patch_size
        self.backbone = dinov2.Backbone(original.backbone, self.patch)
        self.neck, self.head = original.neck, original.head

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels, N×3×H×W, to depth, N×H×W."""
        grid = [side // self.patch for side in pixels.shape[2:]]
        maps = self.neck(self.backbone(pixels), *grid)
        depth: Tensor = self.head([features.float() for features in maps], *grid)
        return depth


def depth_anything(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint; one whose config.json names no ``depth_estimation_type`` is relative.

    :param height: rows that the network sees; 0 takes the checkpoint's own.
    :param width: columns, likewise.
    :raises CheckpointError: when it cannot be loaded.
    """
    metric = checkpoint.config.get('depth_estimation_type', 'relative') == 'metric'
    model = load_model(DepthAnythingForDepthEstimation, checkpoint)
    preprocessing = Preprocessing.from_config(checkpoint.preprocessor)
    return SingleImage(
        Network(model), preprocessing.resized_to(height, width, model.config.patch_size),
        Quantity.METRES if metric else Quantity.INVERSE_DEPTH,
        (0.0, float(model.config.max_depth)) if metric else None, float32=('head',))
