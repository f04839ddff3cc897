# SPDX-License-Identifier: Apache-2.0
"""Prompt Depth Anything: metres in the detail of the image, from a cheap sensor's rough depth."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import PromptDepthAnythingForDepthEstimation

from ..checkpoint import Checkpoint
from ..errors import ImageError
from ..frame import Depth, Frame
from ..weights import load_model
from . import dinov2
from .base import Family, Quantity, Size
from .preprocessing import Preprocessing
from .single_image import SingleImage

PROMPT_SIZE = Size(192, 256)
"""The size that every prompt is brought to: that of the sensor whose depth it was trained on."""

SPREAD = 1e-6
"""Metres by which the prompt's values are taken to differ at least, as transformers does."""


class Network(nn.Module):
    """Backbone, neck and head; the prompt comes packed into channels behind the pixels."""

    def __init__(self, original: Any, prompt_size: Size) -> None:
        super().__init__()
        self.patch: int = original.config.patch_size
        self.prompt_size = prompt_size
        self.backbone = dinov2.Backbone(original.backbone, self.patch)
        self.neck, self.head = original.neck, original.head

    def forward(self, packed: Tensor) -> Tensor:
        """
        Map pixels and prompt to depth relative to the prompt's range.

        :param packed: N×(3 + more)×H×W: normalised pixels, then the prompt, 0 at its nearest and
            1 at its farthest value.
        :return: N×H×W, in the prompt's units.
        """
        pixels, rest = packed.split((3, packed.shape[1] - 3), dim=1)
        grid = [side // self.patch for side in pixels.shape[2:]]
        height, width = self.prompt_size
        prompt = rest.flatten(1)[:, :height * width].view(-1, 1, height, width)
        maps = self.neck(self.backbone(pixels), *grid, prompt_depth=prompt)
        depth: Tensor = self.head([features.float() for features in maps], *grid)
        return depth


class PromptDepthAnything(SingleImage):
    """One checkpoint. Without a prompt its numbers have no scale, so it takes no such frame."""

    def __init__(self, network: Network, preprocessing: Preprocessing) -> None:
        super().__init__(network, preprocessing, Quantity.METRES, float32=('head',))
        self.per_frame = self.needs_prompt = True
        self._prompt_size = network.prompt_size

    def inputs(self, image: Tensor, frame: Frame) -> Tensor:
        """Return the pixels and, behind them, the prompt relative to its range."""
        pixels = super().inputs(image, frame)
        prompt, near, spread = self._prompt(frame)
        return self._packed(pixels[None], ((prompt - near) / spread)[None].to(image.device))[0]

    def mirrored(self, inputs: Tensor) -> Tensor:
        """Return a batch of inputs as those of the mirrored images and prompts."""
        height, width = self._prompt_size
        prompt = inputs[:, 3:].flatten(1)[:, :height * width].view(-1, height, width)
        return self._packed(inputs[:, :3].flip(-1), prompt.flip(-1))

    def result(self, values: Tensor, frame: Frame) -> Tensor:
        """Bring the map to the image's size and to the prompt's metres."""
        _, near, spread = self._prompt(frame)
        return super().result(values, frame) * spread + near

    def magnification(self, height: int, width: int) -> None:
        """Return None: metres are the prompt's."""

    def _prompt(self, frame: Frame) -> tuple[Tensor, float, float]:
        """Return the prompt of the network's size, its nearest value and its range, in metres."""
        if frame.prompt is None:
            raise ImageError("the model needs another sensor's depth of the same view as the "
                             "frame's prompt, and there is none")
        whole = filled(_metres(frame.prompt))
        if whole.shape != self._prompt_size:
            whole = cv2.resize(whole, self._prompt_size[::-1], interpolation=cv2.INTER_AREA)
        near = float(whole.min())
        return torch.tensor(whole), near, max(float(whole.max()) - near, SPREAD)

    @staticmethod
    def _packed(pixels: Tensor, prompt: Tensor) -> Tensor:
        """
        Put a prompt into channels of the pixels' size.

        :param pixels: N×3×H×W.
        :param prompt: N×h×w.
        """
        batch, _, height, width = pixels.shape
        flat = prompt.flatten(1)
        flat = functional.pad(flat, (0, -flat.shape[1] % (height * width)))
        return torch.cat((pixels, flat.view(batch, -1, height, width)), dim=1)


def _metres(prompt: Depth) -> Depth:
    """
    Return a prompt as float32, contiguous, H×W.

    :raises ImageError: when it is no map of metres.
    """
    shape = 'x'.join(map(str, prompt.shape)) or 'no dimension'
    if prompt.ndim != 2 or not prompt.size:
        raise ImageError(f'the prompt is of {shape}, not HxW: give one depth for each pixel')
    if not np.issubdtype(prompt.dtype, np.floating):
        raise ImageError(f'the prompt is {prompt.dtype}, not floating-point metres: divide '
                         'millimetres (16UC1) by 1000')
    return np.ascontiguousarray(prompt, np.float32)


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
        Network(model, PROMPT_SIZE),
        preprocessing.resized_to(height, width, model.config.patch_size))
