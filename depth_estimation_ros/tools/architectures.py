# SPDX-License-Identifier: Apache-2.0
"""ZoeDepth architectures with seeded random weights, for benchmarks and tests without a hub."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation

NYU, KITTI = (
    {'name': 'nyu', 'n_bins': 64, 'min_depth': 0.001, 'max_depth': 10.0},
    {'name': 'kitti', 'n_bins': 64, 'min_depth': 0.001, 'max_depth': 80.0},
)

ROUTER = {
    'num_patch_transformer_layers': 4, 'patch_transformer_hidden_size': 128,
    'patch_transformer_intermediate_size': 1024, 'patch_transformer_num_attention_heads': 4,
}
"""The domain classifier of the two-head checkpoints."""


def full_size_config(heads: int = 2) -> ZoeDepthConfig:
    """Return the published configuration of Intel/zoedepth-nyu-kitti (BEiT-L 384, two heads)."""
    backbone = BeitConfig(
        image_size=384, num_hidden_layers=24, hidden_size=1024, intermediate_size=4096,
        num_attention_heads=16, use_relative_position_bias=True, reshape_hidden_states=False,
        out_features=['stage6', 'stage12', 'stage18', 'stage24'])
    return ZoeDepthConfig(backbone_config=backbone, bin_configurations=[NYU, KITTI][:heads],
                          **ROUTER)


def tiny_config(heads: int = 2, bin_centers_type: str = 'softplus') -> ZoeDepthConfig:
    """Return a configuration of the same structure that runs in milliseconds."""
    backbone = BeitConfig(
        image_size=64, num_hidden_layers=4, hidden_size=32, intermediate_size=64,
        num_attention_heads=2, use_relative_position_bias=True,
        use_absolute_position_embeddings=True, reshape_hidden_states=False,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'])
    return ZoeDepthConfig(
        backbone_config=backbone, bin_configurations=[NYU, KITTI][:heads],
        bin_centers_type=bin_centers_type, neck_hidden_sizes=[16, 16, 32, 32],
        fusion_hidden_size=32, bottleneck_features=32, bin_embedding_dim=32, **ROUTER)


def seeded_model(config: ZoeDepthConfig, seed: int = 0) -> nn.Module:
    """
    Return a model whose random weights make depth vary over the image and between images.

    transformers' own initialisation leaves every pixel of every image at nearly one depth.
    """
    torch.manual_seed(seed)
    model: nn.Module = ZoeDepthForDepthEstimation(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if 'relative_position_bias_table' in name or 'position_embeddings' in name:
            nn.init.normal_(weight, std=0.5)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight)
    return model


def save_checkpoint(model: nn.Module, folder: Path, height: int = 384, width: int = 512) -> Path:
    """Write a model as a checkpoint folder with the published preprocessing; return the folder."""
    saved: Any = model
    saved.save_pretrained(folder)
    preprocessing = {
        'image_processor_type': 'ZoeDepthImageProcessor', 'do_resize': True,
        'size': {'height': height, 'width': width}, 'keep_aspect_ratio': True,
        'ensure_multiple_of': 32, 'resample': 2, 'do_pad': True, 'do_rescale': True,
        'rescale_factor': 1 / 255, 'do_normalize': True, 'image_mean': [0.5, 0.5, 0.5],
        'image_std': [0.5, 0.5, 0.5],
    }
    (folder / 'preprocessor_config.json').write_text(json.dumps(preprocessing, indent=2))
    return folder
