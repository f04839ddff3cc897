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


def dpt(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint.

    Those on DINOv2 (facebook/dpt-dinov2-*-nyu and -kitti) were trained on metres; their images are
    neither resized nor rescaled, but padded to the patch, and the pad is cut off their depth
    (transformers' own post-processing leaves it in).

    :param height: rows that the network sees; 0 takes the checkpoint's own.
    :param width: columns, likewise.
    :raises CheckpointError: when it cannot be loaded, or cannot see images of such a size.
    """
    backbone = (checkpoint.config.get('backbone_config') or {}).get('model_type', 'vit')
    _check_size(checkpoint.name, backbone, height, width)
    model = load_model(DPTForDepthEstimation, checkpoint)
    metric = backbone == 'dinov2'
    preprocessing = Preprocessing.from_config(checkpoint.preprocessor)
    multiple = 14 if metric else 32
    return SingleImage(
        model, preprocessing.resized_to(height, width, multiple),
        Quantity.METRES if metric else Quantity.INVERSE_DEPTH)


def _check_size(name: str, backbone: str, height: int, width: int) -> None:
    if backbone == 'swinv2' and (height or width):
        raise CheckpointError(f"model '{name}' sees images at its own size only: set "
                              "'network.height' and 'network.width' to 0")
    if backbone in ('vit', 'bit') and height != width:
        raise CheckpointError(f"model '{name}' sees square images only: set 'network.height' and "
                              "'network.width' to one number")
