# SPDX-License-Identifier: Apache-2.0
"""Small checkpoints of every family with seeded random weights, for tests without a hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import BeitConfig, Dinov2Config, Swinv2Config

DPT_PROCESSOR = {
    'image_processor_type': 'DPTImageProcessor', 'do_resize': True, 'do_rescale': True,
    'do_normalize': True, 'rescale_factor': 1 / 255, 'do_pad': False, 'resample': 3,
}
IMAGENET = {'image_mean': [0.485, 0.456, 0.406], 'image_std': [0.229, 0.224, 0.225]}
HALF = {'image_mean': [0.5] * 3, 'image_std': [0.5] * 3}


def _square(side: int) -> dict[str, dict[str, int]]:
    return {'size': {'height': side, 'width': side}}


ANYTHING_PROCESSOR = {**DPT_PROCESSOR, **IMAGENET, **_square(126), 'keep_aspect_ratio': True,
                      'ensure_multiple_of': 14}
MIDAS_PROCESSOR = {**DPT_PROCESSOR, **HALF, **_square(96)}
DINOV2_PROCESSOR = {
    'image_processor_type': 'DPTImageProcessor', 'do_resize': False, 'do_rescale': False,
    'do_normalize': True, 'do_pad': True, 'size_divisor': 14, 'resample': 3,
    'image_mean': [123.675, 116.28, 103.53], 'image_std': [58.395, 57.12, 57.375]}
GLPN_PROCESSOR = {'image_processor_type': 'GLPNImageProcessor', 'do_resize': True,
                  'do_rescale': True, 'size_divisor': 32, 'resample': 2}
PRO_PROCESSOR = {
    'image_processor_type': 'DepthProImageProcessor', 'do_resize': True, 'do_rescale': True,
    'do_normalize': True, 'rescale_factor': 1 / 255, 'resample': 2, **HALF, **_square(128)}


def dinov2(**settings: Any) -> Dinov2Config:
    """Return a DINOv2 backbone of four layers."""
    return Dinov2Config(**{
        'image_size': 70, 'patch_size': 14, 'hidden_size': 32, 'num_hidden_layers': 4,
        'num_attention_heads': 2, 'mlp_ratio': 2, 'reshape_hidden_states': False,
        'out_features': [f'stage{stage}' for stage in range(1, 5)], **settings})


NECK = {'neck_hidden_sizes': [16, 16, 32, 32], 'fusion_hidden_size': 16}
ANYTHING = {**NECK, 'reassemble_hidden_size': 32, 'head_hidden_size': 16, 'patch_size': 14}


def _pro() -> Any:
    vit = dinov2(image_size=32, patch_size=8).to_dict()
    vit.pop('out_features', None)
    return transformers.DepthProConfig(
        fusion_hidden_size=16, patch_size=32, num_fov_head_layers=1,
        scaled_images_feature_dims=[16, 16, 16], intermediate_feature_dims=[16, 16],
        intermediate_hook_ids=[3, 1], use_fov_model=True, image_model_config=vit,
        patch_model_config=vit, fov_model_config=vit)


GAIN = 0.6
"""Random weights at full gain amplify rounding and saturate what ends in a sigmoid."""


@dataclass(frozen=True)
class Architecture:
    """A model class, its configuration and its image processor's settings."""

    model: str
    """The class's name in transformers."""
    config: Callable[[], Any]
    processor: dict[str, Any]


def _anything(**settings: Any) -> Callable[[], Any]:
    return lambda: transformers.DepthAnythingConfig(backbone_config=dinov2(), **ANYTHING,
                                                    **settings)


ARCHITECTURES = {
    'depth_anything': Architecture(
        'DepthAnythingForDepthEstimation', _anything(), ANYTHING_PROCESSOR),
    'depth_anything_metric': Architecture(
        'DepthAnythingForDepthEstimation',
        _anything(depth_estimation_type='metric', max_depth=20), ANYTHING_PROCESSOR),
    'dpt': Architecture('DPTForDepthEstimation', lambda: transformers.DPTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        image_size=96, backbone_out_indices=[0, 1, 2, 3], backbone_config=None, **NECK),
        MIDAS_PROCESSOR),
    'dpt_beit': Architecture('DPTForDepthEstimation', lambda: transformers.DPTConfig(
        backbone_config=BeitConfig(
            image_size=96, num_hidden_layers=4, hidden_size=32, intermediate_size=64,
            num_attention_heads=2, use_relative_position_bias=True, reshape_hidden_states=False,
            out_features=['stage1', 'stage2', 'stage3', 'stage4']), **NECK), MIDAS_PROCESSOR),
    'dpt_swinv2': Architecture('DPTForDepthEstimation', lambda: transformers.DPTConfig(
        backbone_config=Swinv2Config(
            image_size=96, patch_size=4, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2],
            window_size=3, out_features=['stage1', 'stage2', 'stage3', 'stage4']),
        neck_hidden_sizes=[16, 32, 64, 128], fusion_hidden_size=16,
        neck_ignore_stages=[]), MIDAS_PROCESSOR),
    'dpt_dinov2': Architecture('DPTForDepthEstimation', lambda: transformers.DPTConfig(
        backbone_config=dinov2(), **NECK), DINOV2_PROCESSOR),
    # With fewer than 32 channels torch's strided convolutions in bf16 are wrong on CPUs with AMX.
    'glpn': Architecture('GLPNForDepthEstimation', lambda: transformers.GLPNConfig(
        hidden_sizes=[32, 32, 40, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 2],
        decoder_hidden_size=16), GLPN_PROCESSOR),
    'depth_pro': Architecture('DepthProForDepthEstimation', _pro, PRO_PROCESSOR),
    'prompt_depth_anything': Architecture(
        'PromptDepthAnythingForDepthEstimation',
        lambda: transformers.PromptDepthAnythingConfig(
            backbone_config=dinov2(), depth_estimation_type='metric', **ANYTHING),
        {**ANYTHING_PROCESSOR, 'image_processor_type': 'PromptDepthAnythingImageProcessor',
         'prompt_scale_to_meter': 0.001}),
}
"""One small model for each way in which a family's checkpoints differ."""


def seeded(architecture: Architecture, seed: int = 0) -> nn.Module:
    """Return a model with random weights whose depth varies over the image."""
    torch.manual_seed(seed)
    model: nn.Module = getattr(transformers, architecture.model)(architecture.config())
    for name, weight in model.named_parameters():
        if 'lambda' in name or 'layer_scale' in name:
            nn.init.uniform_(weight, 0.5, 1.5)
        elif 'position_embeddings' in name or 'bias_table' in name:
            nn.init.normal_(weight, std=0.3)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            module.weight.data.mul_(GAIN)
            if module.bias is None:
                continue
            nn.init.uniform_(module.bias, -0.1, 0.1)
            if getattr(module, 'out_channels', 0) == 1:
                nn.init.ones_(module.bias)  # or half of a map is cut off by a last ReLU
    return model.eval().requires_grad_(False)


def write_checkpoint(architecture: Architecture, folder: Path, seed: int = 0) -> Path:
    """Write a seeded model as a checkpoint; return its folder."""
    model: Any = seeded(architecture, seed)
    model.save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(architecture.processor, indent=2))
    return folder
