# SPDX-License-Identifier: Apache-2.0
"""The published configurations of the families, as networks without the published weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import transformers
from transformers import Dinov2Config

from ..architectures import full_size_config
from ..seeded import (
    ANYTHING_PROCESSOR,
    DINOV2_PROCESSOR,
    GLPN_PROCESSOR,
    MIDAS_PROCESSOR,
    Architecture,
)
from .device import operations

BACKBONES = {'small': (384, 12, 6), 'base': (768, 12, 12), 'large': (1024, 24, 16)}
"""DINOv2's channels, layers and heads (transformers, convert_dinov2_to_hf.py)."""

STAGES = {'small': (3, 6, 9, 12), 'base': (3, 6, 9, 12), 'large': (5, 12, 18, 24)}
"""The layers that Depth Anything V2 takes features from, counted from 1
(DepthAnything/Depth-Anything-V2, depth_anything_v2/dpt.py)."""

NECKS = {'small': ([48, 96, 192, 384], 64), 'base': ([96, 192, 384, 768], 128),
         'large': ([256, 512, 1024, 1024], 256)}
"""Channels of its maps and of their fusion (likewise)."""


def _dinov2(variant: str, apply_layernorm: bool = True) -> Dinov2Config:
    channels, layers, heads = BACKBONES[variant]
    return Dinov2Config(
        image_size=518, patch_size=14, hidden_size=channels, num_hidden_layers=layers,
        num_attention_heads=heads, reshape_hidden_states=False,
        apply_layernorm=apply_layernorm,
        out_features=[f'stage{stage}' for stage in STAGES[variant]])


def _anything(variant: str, kind: Any = transformers.DepthAnythingConfig,
              max_depth: float | None = 20) -> Any:
    maps, fusion = NECKS[variant]
    return kind(
        backbone_config=_dinov2(variant), neck_hidden_sizes=maps, fusion_hidden_size=fusion,
        reassemble_hidden_size=BACKBONES[variant][0], head_hidden_size=32, patch_size=14,
        depth_estimation_type='metric', max_depth=max_depth)


def _prompt_anything() -> Any:
    """Return that of the small one (transformers, convert_prompt_depth_anything_to_hf.py)."""
    return _anything('small', transformers.PromptDepthAnythingConfig, None)


def _dpt_dinov2(variant: str) -> Any:
    """Return facebook/dpt-dinov2-small-nyu's (transformers, convert_dinov2_depth_to_hf.py)."""
    return transformers.DPTConfig(
        backbone_config=_dinov2(variant, apply_layernorm=False),
        neck_hidden_sizes=NECKS[variant][0], use_bias_in_fusion_residual=False,
        add_projection=True)


def _dpt_large() -> Any:
    """Return Intel/dpt-large's (transformers, convert_dpt_to_pytorch.py)."""
    return transformers.DPTConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        backbone_config=None, backbone_out_indices=[5, 11, 17, 23],
        neck_hidden_sizes=[256, 512, 1024, 1024])


def _glpn() -> Any:
    """Return vinvino02/glpn-nyu's (transformers, convert_glpn_to_pytorch.py)."""
    return transformers.GLPNConfig(
        hidden_sizes=[64, 128, 320, 512], decoder_hidden_size=64, depths=[3, 8, 27, 3])


def _depth_pro() -> Any:
    """Return apple/DepthPro-hf's: three times DINOv2's large (transformers, its documentation)."""
    vit = {'model_type': 'dinov2', 'hidden_size': 1024, 'num_hidden_layers': 24,
           'num_attention_heads': 16, 'image_size': 384, 'patch_size': 16, 'use_mask_token': False}
    return transformers.DepthProConfig(
        image_model_config=vit, patch_model_config=vit, fov_model_config=vit, use_fov_model=True)


def _side(side: int) -> dict[str, dict[str, int]]:
    return {'size': {'height': side, 'width': side}}


ANYTHING = {**ANYTHING_PROCESSOR, **_side(518)}

SMALL = Architecture('DepthAnythingForDepthEstimation', partial(_anything, 'small'), ANYTHING)

PUBLISHED = {
    'small-252': replace(SMALL, processor={**ANYTHING, **_side(252)}),
    'small': SMALL,
    'base': replace(SMALL, config=partial(_anything, 'base')),
    'large': replace(SMALL, config=partial(_anything, 'large')),
    'dpt-dinov2-small': Architecture(
        'DPTForDepthEstimation', partial(_dpt_dinov2, 'small'), DINOV2_PROCESSOR),
    'dpt-large': Architecture(
        'DPTForDepthEstimation', _dpt_large, {**MIDAS_PROCESSOR, **_side(384)}),
    'glpn': Architecture('GLPNForDepthEstimation', _glpn, GLPN_PROCESSOR),
}
"""Depth Anything V2 by its sizes, *small* also at the network size that config/depth_anything.yaml
sets; the others by their names."""

RECKONED: dict[str, tuple[str, Callable[[], Any]]] = {
    'full': ('ZoeDepthForDepthEstimation', full_size_config),
    **{name: (each.model, each.config) for name, each in PUBLISHED.items()},
    'prompt-small': ('PromptDepthAnythingForDepthEstimation', _prompt_anything),
    'depth-pro': ('DepthProForDepthEstimation', _depth_pro)}
"""The class and the configuration of each, *full* being ZoeDepth's. The last two are not measured
beside rivals: one needs a prompt, the other a processor that transformers 5 has only with
torchvision."""

NETWORK_SIZES = {
    'full': (384, 512), 'small-252': (252, 336), 'small': (518, 686), 'base': (518, 686),
    'large': (518, 686), 'prompt-small': (560, 756), 'dpt-dinov2-small': (490, 644),
    'dpt-large': (384, 384), 'glpn': (480, 640), 'depth-pro': (1536, 1536)}
"""Height and width at which each sees an image of 640x480."""

PROMPT = (192, 256)
"""Height and width of the prompt that Prompt Depth Anything gets, a phone's lidar image."""


def costs() -> list[dict[str, Any]]:
    """Return each network's parameters, and the GFLOP of its products for a 640x480 image."""
    return [cost(name, size) for name, size in NETWORK_SIZES.items()]


def cost(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """
    Return what one image costs a network, mostly reckoned without any weights.

    :param size: height and width at which it sees the image.
    """
    kind, config = RECKONED[name]
    with torch.device('cpu' if name == 'full' else 'meta'):  # ZoeDepth reads its router's choice
        model = getattr(transformers, kind)(config())
        pixels = torch.zeros(1, 3, *size)
        others = {'prompt_depth': torch.zeros(1, 1, *PROMPT)} if 'prompt' in name else {}
    weights = sum(weight.numel() for weight in model.parameters())
    return {'model': name, 'network_size': f'{size[1]}x{size[0]}',
            'parameters_m': round(weights / 1e6, 1),
            'gflop': round(operations(model.eval(), pixels, **others) / 1e9, 1)}
