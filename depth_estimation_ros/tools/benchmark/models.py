# SPDX-License-Identifier: Apache-2.0
"""The models to measure with: published architectures with seeded weights, the demo model."""

from __future__ import annotations

from pathlib import Path

from torch import nn
from transformers import DepthAnythingConfig, Dinov2Config

from ...resources import DEMO_MODEL, model_folder
from ..architectures import full_size_config, save_checkpoint, seeded_model, tiny_config
from ..seeded import ANYTHING_PROCESSOR, Architecture, write_checkpoint

MODELS = ('full', DEMO_MODEL, 'small', 'small-252', 'tiny')

SMALL = {'small': 518, 'small-252': 252}
"""Depth Anything V2 Small with the shorter side that it sees: its own, and that of its config."""


GAIN = 0.85
"""Of the random convolutions: at 1.0 rounding grows a thousandfold in the full-size network, and
stock float32 differs by 1e-3 from itself with another number of threads."""


class NoModelError(LookupError):
    """A model that is not on this machine; the text says what is missing."""


def checkpoint(name: str, folder: Path) -> Path:
    """
    Return the folder of a checkpoint, writing seeded random weights where they serve.

    :param name: one of :data:`MODELS`, or a checkpoint's own folder.
    :param folder: where to write.
    :raises NoModelError: when the demo model, or the folder, is not there.
    """
    if name == 'full':
        return save_checkpoint(_steadied(seeded_model(full_size_config())), folder / name)
    if name == 'tiny':
        return save_checkpoint(seeded_model(tiny_config()), folder / name, 64, 96)
    if name in SMALL:
        return write_checkpoint(_depth_anything_small(SMALL[name]), folder / name)
    path = Path(model_folder(name))
    if not list(path.glob('*.safetensors')):
        raise NoModelError(f'{path} holds no model')
    return path


def _depth_anything_small(side: int) -> Architecture:
    """Return the published configuration of Depth-Anything-V2-Metric-Indoor-Small-hf."""
    return Architecture('DepthAnythingForDepthEstimation', lambda: DepthAnythingConfig(
        backbone_config=Dinov2Config(
            image_size=518, patch_size=14, hidden_size=384, num_hidden_layers=12,
            num_attention_heads=6, reshape_hidden_states=False,
            out_features=['stage3', 'stage6', 'stage9', 'stage12']),
        neck_hidden_sizes=[48, 96, 192, 384], fusion_hidden_size=64, reassemble_hidden_size=384,
        head_hidden_size=32, patch_size=14, depth_estimation_type='metric', max_depth=20),
        {**ANYTHING_PROCESSOR, 'size': {'height': side, 'width': side}})


def _steadied(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.mul_(GAIN)
    return model
