"""Prompt Depth Anything: metres in the detail of the image, from a cheap sensor's rough depth."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PromptDepthAnythingForDepthEstimation

from ..checkpoint import Checkpoint
from ..errors import ImageError
from ..frame import Frame
from ..weights import load_model
from . import dinov2
from .base import Family, Quantity, Result
from .preprocessing import Preprocessing
from .single_image import SingleImage, cast

SPREAD = 1e-6
"""Metres by which the prompt's values are taken to differ at least, as transformers does."""


class Network(nn.Module):
    """Backbone, neck and head; the prompt is one more input of the neck."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.patch: int = original.config.patch_size
        self.backbone = dinov2.Backbone(original.backbone)
        self.neck, self.head = original.neck, original.head

    def forward(self, pixels: Tensor, prompt: Tensor | None = None) -> tuple[Tensor]:
        """
        Map pixels to depth relative to the prompt's range.

        :param pixels: normalised, N×3×H×W.
        :param prompt: N×1×h×w, 0 at the nearest and 1 at the farthest value of each.
        :return: N×H×W, in the prompt's units.
        """
        grid = [side // self.patch for side in pixels.shape[2:]]
        features = self.backbone(cast(pixels, self.backbone))
        if prompt is not None:
            prompt = prompt.to(features[0].dtype)
        maps = self.neck(features, *grid, prompt_depth=prompt)
        return (self.head([features.float() for features in maps], *grid),)


class PromptDepthAnything(SingleImage):
    """One checkpoint; without a prompt its depth has no scale."""

    def inputs(self, image: Tensor, frame: Frame) -> tuple[Tensor, ...]:
        """Return the pixels and, where there is one, the prompt relative to its range."""
        pixels = super().inputs(image, frame)
        if frame.prompt is None:
            return pixels
        near, spread = _range(frame.prompt)
        prompt = (torch.from_numpy(filled(frame.prompt)) - near) / spread
        return (*pixels, prompt[None].to(image.device))

    def result(self, outputs: tuple[Tensor, ...], frame: Frame) -> Result:
        """Bring the map to the image's size, and to metres where there was a prompt."""
        result = super().result(outputs, frame)
        if frame.prompt is None:
            return Result(result.depth, Quantity.RELATIVE_DEPTH)
        near, spread = _range(frame.prompt)
        return Result(result.depth * spread + near, Quantity.METRES)


def filled(prompt: NDArray[np.float32]) -> NDArray[np.float32]:
    """
    Return a prompt without holes.

    :param prompt: float32 metres, H×W; what is not finite, or not above zero, is unknown.
    :return: float32 metres, H×W; an unknown pixel has the value of the nearest known one.
    :raises ImageError: when no pixel is known.
    """
    known = np.isfinite(prompt) & (prompt > 0)
    if known.all():
        return prompt
    if not known.any():
        raise ImageError('the prompt holds no known depth: is its sensor covered?')
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(labels.max() + 1, np.float32)
    values[labels[known]] = prompt[known]
    return np.asarray(values[labels], np.float32)


def _range(prompt: NDArray[np.float32]) -> tuple[float, float]:
    """Return the prompt's nearest value and the width of its range, in metres."""
    values = filled(prompt)
    return float(values.min()), max(float(values.max() - values.min()), SPREAD)


def prompt_depth_anything(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint.

    :param height: rows that the network sees; 0 takes the checkpoint's own.
    :param width: columns, likewise.
    :raises CheckpointError: when it cannot be loaded.
    """
    model = load_model(PromptDepthAnythingForDepthEstimation, checkpoint)
    preprocessing = Preprocessing.from_config(checkpoint.preprocessor)
    return PromptDepthAnything(
        Network(model), preprocessing.resized_to(height, width, model.config.patch_size),
        Quantity.METRES, float32=('head',))
