# SPDX-License-Identifier: Apache-2.0
"""Load a model's weights from a checkpoint's folder: safetensors only, every one of them there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from .backends.reason import reason
from .checkpoint import WEIGHTS, Checkpoint, missing_weights, weight_files
from .errors import CheckpointError

UNREAD = re.compile(r'neck\.fusion_stage\.layers\.0\.residual_layer1\.'
                    r'|fusion_stage\.intermediate\.0\.residual_layer1\.|.*\.mask_token$')
"""Weights that nothing reads: those of the first fusion layer's residual, of which there is none
(published DPT checkpoints lack them), and the token of what is masked in training."""

POINTER = b'version https://git-lfs'
"""How the file begins that Git LFS leaves where it has not fetched the content."""


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
    _check(checkpoint)
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(folder, local_files_only=True,
                                                trust_remote_code=False)
            config.return_dict = True
            model, report = model_class.from_pretrained(
                folder, config=config, torch_dtype=torch.float32, use_safetensors=True,
                local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True)
    except Exception as error:  # of transformers, safetensors and what they call; many kinds
        remedy = ('. Fetch it again (hf download --force-download), or check the disk'
                  if isinstance(error, (OSError, SafetensorError)) else '')
        raise CheckpointError(f"model '{name}': {folder} cannot be loaded: "
                              f'{reason(error).rstrip(".")}{remedy}') from error
    lost = sorted(name for name in (*report['missing_keys'],
                                    *map(_key, report['mismatched_keys']))
                  if not UNREAD.match(name))
    if lost:
        raise CheckpointError(f"model '{name}': {folder} lacks {len(lost)} of the weights that "
                              f'its config.json asks for, or holds them in another shape (the '
                              f'first is {lost[0]}): the checkpoint is incomplete')
    module: nn.Module = model.eval().requires_grad_(False)
    return module


def _check(checkpoint: Checkpoint) -> None:
    """Refuse by name what transformers would ask the hub for, or call a damaged header."""
    config, folder = checkpoint.config, checkpoint.folder
    if config.get('backbone') and not config.get('backbone_config'):
        raise CheckpointError(
            f"model '{checkpoint.name}': config.json in {folder} names its backbone, "
            f"'{config['backbone']}', without saying how it is built, which only the hub knows: "
            "write that model's config.json there as backbone_config")
    for file in (folder / name for name in weight_files(folder)):
        with file.open('rb') as stream:
            if stream.read(len(POINTER)) == POINTER:
                raise CheckpointError(f"model '{checkpoint.name}': {file} is a Git LFS pointer "
                                      'without the weights: run git lfs pull in its folder')


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting, as an alarm, on weights that nothing reads."""
    transformers_logging.disable_progress_bar()
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _key(mismatched: Any) -> str:
    """Return the weight's name; newer versions of transformers report its shapes with it."""
    return str(mismatched if isinstance(mismatched, str) else mismatched[0])
