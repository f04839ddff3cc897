# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

pytest.importorskip('torch')
pytest.importorskip('transformers')

import torch
from transformers import AutoModelForDepthEstimation, ZoeDepthForDepthEstimation

from training.export import export
from training.model import HEADS, Thinning, forward, make_model, router_parameters


@pytest.fixture(scope='module')
def model() -> ZoeDepthForDepthEstimation:
    return make_model(0).eval()


@torch.no_grad()
def test_training_forward_is_the_models_own(
    model: ZoeDepthForDepthEstimation,
) -> None:
    pixels = torch.rand(2, 3, 96, 128) * 2 - 1
    own = model(pixels)
    head = HEADS[int(own.domain_logits.sum(0).argmax())]
    depth, logits = forward(model, pixels, head)
    torch.testing.assert_close(depth, own.predicted_depth, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, own.domain_logits)


@torch.no_grad()
def test_thinned_pixels_are_the_pixels_of_the_whole(
    model: ZoeDepthForDepthEstimation,
) -> None:
    pixels = torch.rand(1, 3, 96, 128) * 2 - 1
    whole, _ = forward(model, pixels, 'kitti')
    thinning = Thinning((1, 0), 2)
    part, _ = forward(model, pixels, 'kitti', thinning=thinning)
    torch.testing.assert_close(part, thinning.apply(whole), rtol=1e-4, atol=1e-4)


def test_the_router_decides_the_head_and_no_metres(
    model: ZoeDepthForDepthEstimation,
) -> None:
    router = {id(weight) for weight in router_parameters(model)}
    assert 0 < len(router) < len(list(model.parameters())) / 2
    depth, logits = forward(model, torch.rand(1, 3, 96, 128) * 2 - 1, 'nyu')
    for output, routes in ((depth, False), (logits, True)):
        weights = [p for p in model.metric_head.parameters() if (id(p) in router)]
        gradients = torch.autograd.grad(output.sum(), weights, retain_graph=True,
                                        allow_unused=True)
        assert [g is not None for g in gradients] == [routes] * len(weights)


def test_export_is_a_transformers_checkpoint(
    model: ZoeDepthForDepthEstimation, tmp_path: Path
) -> None:
    export(model, tmp_path)
    assert (tmp_path / 'model.safetensors').stat().st_size < 16e6
    loaded = AutoModelForDepthEstimation.from_pretrained(tmp_path)
    assert sorted(c['name'] for c in loaded.config.bin_configurations) == sorted(HEADS)
    assert 3e6 < sum(p.numel() for p in loaded.parameters()) < 8e6
    text = (tmp_path / 'preprocessor_config.json').read_text()
    assert '"image_processor_type": "ZoeDepthImageProcessor"' in text
