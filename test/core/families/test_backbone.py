# SPDX-License-Identifier: Apache-2.0
"""The backbone by itself, under weights large enough for each of them to be seen."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import ZoeDepthForDepthEstimation

from depth_estimation_ros.core.families.zoedepth.backbone import Backbone
from depth_estimation_ros.core.families.zoedepth.router import Router
from depth_estimation_ros.tools.architectures import tiny_config

from ..conftest import noise

KINDS: dict[str, dict[str, Any]] = {
    'a bias a layer': {},
    'one bias for all layers': {'use_relative_position_bias': False,
                                'use_shared_relative_position_bias': True},
    'no bias': {'use_relative_position_bias': False, 'use_absolute_position_embeddings': False},
    'no layer scale': {'layer_scale_init_value': 0.0},
    'other layers': {'out_features': ['stem', 'stage1', 'stage2', 'stage3']},
}


def loud_model(**changes: Any) -> Any:
    """Return a tiny model of transformers' whose weights are all random and large."""
    config = tiny_config()
    for name, value in changes.items():
        setattr(config.backbone_config, name, value)
    model = ZoeDepthForDepthEstimation(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.4, generator=generator)
    return model


def maps(backbone: Any, pixels: Tensor) -> Tensor:
    return torch.stack(tuple(backbone.forward_with_filtered_kwargs(pixels).feature_maps))


def apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize('kind', KINDS)
def test_feature_maps_are_those_of_transformers(kind: str) -> None:
    original, pixels = loud_model(**KINDS[kind]).backbone, noise(2, 64, 96)
    expected = maps(original, pixels)
    ours = Backbone(original)
    assert apart(maps(ours, pixels), expected) <= 1e-5


@pytest.mark.parametrize('weight', [
    'projection.weight', 'projection.bias', 'output.weight', 'output.bias', 'wide.weight',
    'narrow.bias', 'bias.relative_position_bias_table'])
def test_these_weights_are_seen(weight: str) -> None:
    ours, pixels = Backbone(loud_model().backbone), noise(1, 64, 96)
    before = maps(ours, pixels)
    part = ours.layers[1].get_parameter(weight)
    part[:len(part) // 3] = 0
    assert apart(maps(ours, pixels), before) > 1e-3


def test_layers_after_the_last_map_are_not_run() -> None:
    ours: Any = Backbone(
        loud_model(out_features=['stem', 'stage1', 'stage2', 'stage3']).backbone)
    assert ours.depths == [0, 1, 2, 3]
    ours.layers[3].forward = None
    maps(ours, noise(1, 64, 96))


def test_domain_logits_are_those_of_transformers() -> None:
    head = loud_model().metric_head
    bottleneck = torch.randn(3, 32, 4, 6, generator=torch.Generator().manual_seed(0))
    tokens = deepcopy(head.patch_transformer)(bottleneck)
    expected = head.mlp_classifier(tokens[:, 0])
    assert apart(Router(head.patch_transformer, head.mlp_classifier)(bottleneck), expected) <= 1e-5
