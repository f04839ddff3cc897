# SPDX-License-Identifier: Apache-2.0
"""The families of depth models, by the ``model_type`` of a checkpoint's config.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backends.reason import reason
from ..checkpoint import Checkpoint
from ..device_errors import is_out_of_memory
from ..errors import CheckpointError
from .base import Family
from .depth_anything import depth_anything
from .depth_pro import depth_pro
from .dpt import dpt
from .glpn import glpn
from .onnx import onnx
from .prompt_depth_anything import prompt_depth_anything
from .zoedepth.family import zoedepth

FAMILIES: dict[str, Callable[[Checkpoint, int, int], Family]] = {
    'depth_anything': depth_anything,
    'depth_pro': depth_pro,
    'dpt': dpt,
    'glpn': glpn,
    'onnx': onnx,
    'prompt_depth_anything': prompt_depth_anything,
    'zoedepth': zoedepth,
}

PROCESSORS = {'depth_anything': 'DPT', 'depth_pro': 'DepthPro', 'dpt': 'DPT', 'glpn': 'GLPN',
              'prompt_depth_anything': 'PromptDepthAnything', 'zoedepth': 'ZoeDepth'}
"""How the name of the image processor begins whose arithmetic a family's preprocessing is."""

REFUSED = {
    'chmv2': 'it estimates the height of tree canopies from above, not the depth of a view',
    'tipsv2_dpt': 'its image processor needs torchvision, which this package does without',
}
"""Model types that transformers lists for depth estimation, and why they are not served."""


UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a value of a checkpoint's files raises that nobody would expect there."""

AUTO = 'auto'
"""The domain that the model chooses for each image by itself."""


def load_family(checkpoint: Checkpoint, height: int = 0, width: int = 0, *,
                domain: str = AUTO) -> Family:
    """
    Load a checkpoint's model by its family.

    :param height: rows that the network sees; 0 takes the checkpoint's own.
    :param width: columns, likewise.
    :param domain: the name of the metric head that serves every image; 'auto' leaves it to the
        model, where it has several.
    :raises CheckpointError: when its type is not served, or it cannot be loaded.
    """
    kind = str(checkpoint.config.get('model_type'))
    if kind in FAMILIES:
        _check_processor(checkpoint, PROCESSORS.get(kind, ''))
        try:
            _check_channels(checkpoint.config)
            family = FAMILIES[kind](checkpoint, height, width)
        except UNEXPECTED as error:
            if is_out_of_memory(error):
                raise
            named = '' if type(error) is ValueError else f'{type(error).__name__}: '
            raise CheckpointError(
                f"model '{checkpoint.name}': config.json or preprocessor_config.json in "
                f'{checkpoint.folder} cannot be used: {named}{reason(error)}') from error
        if domain != AUTO:
            check_domain(checkpoint.name, family, domain)
            family.pin(domain)
        return family
    raise CheckpointError(
        f"model '{checkpoint.name}' ({checkpoint.folder}) is of type '{kind}', which is not "
        f'served: {REFUSED.get(kind, "it is no depth model that this package knows")}. Served are '
        f'{", ".join(sorted(FAMILIES))}')


def _check_channels(config: dict[str, Any]) -> None:
    """Raise ValueError where a network takes other images than those of a colour camera."""
    for name, value in config.items():
        if isinstance(value, dict):
            _check_channels(value)
        elif name == 'num_channels' and value != 3:
            raise ValueError(f'num_channels is {value!r}: only networks that take the 3 of RGB '
                             'images are supported')


def _check_processor(checkpoint: Checkpoint, known: str) -> None:
    """Refuse images prepared in another way: the depth would be wrong without a word."""
    named = next((str(checkpoint.preprocessor[key]) for key in (
        'image_processor_type', 'feature_extractor_type') if key in checkpoint.preprocessor), '')
    if named and not named.startswith((f'{known}ImageProcessor', f'{known}FeatureExtractor')):
        raise CheckpointError(
            f"model '{checkpoint.name}': {checkpoint.folder} names {named} for its images, where "
            f'only {known}ImageProcessor is known: take a checkpoint with that')


def check_domain(model: str, family: Family, domain: str) -> None:
    """Raise CheckpointError when a model has no head of that name to choose."""
    if domain != AUTO and domain not in family.domains:
        raise CheckpointError(f"domain is '{domain}': model '{model}' has " + (
            f'{", ".join(family.domains)}' if family.domains else 'none to choose from')
            + f"; '{AUTO}' fits every model")
