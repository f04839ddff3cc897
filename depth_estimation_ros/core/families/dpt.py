# SPDX-License-Identifier: Apache-2.0
"""DPT: inverse depth by MiDaS's checkpoints, metres by those on DINOv2."""

from __future__ import annotations

from transformers import DPTForDepthEstimation

from ..checkpoint import Checkpoint
from ..errors import CheckpointError
from ..weights import load_model
from .base import Family, Quantity
from .preprocessing import Preprocessing
from .single_image import SingleImage

SQUARE = ('vit', 'bit')
"""The backbones of the networks that take their tokens for those of a square image."""


def dpt(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint.

    Those on DINOv2 (facebook/dpt-dinov2-*-nyu and -kitti) were trained on metres; their images are
    neither resized nor rescaled, but padded to the patch, and the pad is cut off their depth
    (transformers' own post-processing leaves it in).

    :param height: rows that the network sees; 0 takes the checkpoint's own.
    :param width: columns, likewise.
    :raises CheckpointError: when it cannot be loaded, or cannot see images of such a size.
    :raises ValueError: when config.json or preprocessor_config.json does not fit DPT.
    """
    settings = checkpoint.config.get('backbone_config') or {}
    if not isinstance(settings, dict):
        raise ValueError(f'backbone_config is {settings!r}, not an object')
    if settings.get('num_register_tokens'):
        raise ValueError('the backbone has register tokens, which DPT takes for patches')
    backbone = settings.get('model_type', 'vit')
    _check_size(checkpoint.name, backbone, height, width)
    metric = backbone == 'dinov2'
    preprocessing = Preprocessing.from_config(checkpoint.preprocessor).resized_to(
        height, width, 14 if metric else 32)
    if backbone in SQUARE:
        _check_square(preprocessing)
    model = load_model(DPTForDepthEstimation, checkpoint)
    return SingleImage(model, preprocessing,
                       Quantity.METRES if metric else Quantity.INVERSE_DEPTH)


def _check_size(name: str, backbone: str, height: int, width: int) -> None:
    if backbone == 'swinv2' and (height or width):
        raise CheckpointError(f"model '{name}' sees images at its own size only: set "
                              "'network.height' and 'network.width' to 0")
    if backbone in SQUARE and height != width:
        raise CheckpointError(f"model '{name}' sees square images only: set 'network.height' and "
                              "'network.width' to one number")


def _check_square(preprocessing: Preprocessing) -> None:
    """Raise ValueError where images would not become square, or only some of them."""
    size = preprocessing.size
    if size is None or size.height != size.width or preprocessing.keep_aspect_ratio:
        told = 'do_resize is false' if size is None else (
            f'size is {size}' if size.height != size.width else 'keep_aspect_ratio is true')
        raise ValueError(f'{told}, but the network sees square images only: set do_resize to true,'
                         ' keep_aspect_ratio to false, and both sides of size to one number')
