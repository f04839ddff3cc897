# SPDX-License-Identifier: Apache-2.0
"""The models to measure with: published architectures with seeded weights, the demo model."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ...resources import DEMO_MODEL, model_folder
from ..architectures import full_size_config, save_checkpoint, seeded_model, tiny_config
from ..seeded import write_checkpoint
from .published import PUBLISHED

MODELS = ('full', DEMO_MODEL, *PUBLISHED, 'tiny')

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
    if name in PUBLISHED:
        return write_checkpoint(PUBLISHED[name], folder / name)
    path = Path(model_folder(name))
    if not list(path.glob('*.safetensors')):
        raise NoModelError(f'{path} holds no model')
    return path


def _steadied(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.mul_(GAIN)
    return model
