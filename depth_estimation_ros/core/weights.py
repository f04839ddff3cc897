# SPDX-License-Identifier: Apache-2.0
"""Load a model's weights from a checkpoint's folder: safetensors only, every one of them there."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from .checkpoint import WEIGHTS, Checkpoint, missing_weights
from .errors import CheckpointError

UNREAD = 'neck.fusion_stage.layers.0.residual_layer1.'
"""The first fusion layer has no residual to read by these; published DPT checkpoints lack them."""


def load_model(model_class: Any, checkpoint: Checkpoint) -> Any:
    """
    Return a transformers model in float32 on the CPU, for inference.

    :param model_class: its class, of transformers; remote code is never run.
    :raises CheckpointError: when a weight is missing or damaged, or a file cannot be read.
    """
    name, folder = checkpoint.name, checkpoint.folder
    missing = missing_weights(folder)
    if missing == [WEIGHTS]:
        raise CheckpointError(f"model '{name}': {folder} holds no *.safetensors file to load "
                              f'({WEIGHTS}, or an index and its shards); pickled weights (*.bin) '
                              'are not loaded')
    if missing:
        raise CheckpointError(f"model '{name}': {folder} lacks {', '.join(missing)}: fetch the "
                              'checkpoint again, with every file of it')
    transformers_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model, report = model_class.from_pretrained(
            folder, config=config, torch_dtype=torch.float32, use_safetensors=True,
            local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True)
    except Exception as error:  # of transformers, safetensors and what they call; many kinds
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise CheckpointError(f"model '{name}': {folder} cannot be loaded: {reason}. Fetch it "
                              'again (hf download --force-download), or check the disk'
                              ) from error
    lost = sorted(name for name in (*report['missing_keys'],
                                    *map(_key, report['mismatched_keys']))
                  if not name.startswith(UNREAD))
    if lost:
        raise CheckpointError(f"model '{name}': {folder} lacks {len(lost)} of the weights that "
                              f'its config.json asks for, or holds them in another shape (the '
                              f'first is {lost[0]}): the checkpoint is incomplete')
    module: nn.Module = model.eval().requires_grad_(False)
    return module


def _key(mismatched: Any) -> str:
    """Return the weight's name; newer versions of transformers report its shapes with it."""
    return str(mismatched if isinstance(mismatched, str) else mismatched[0])
