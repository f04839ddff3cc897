# SPDX-License-Identifier: Apache-2.0
"""The small ZoeDepth: its configuration, its start, and a forward pass that can be trained."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    BeitConfig,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
    ZoeDepthImageProcessor,
)

HEADS = ('nyu', 'kitti')  # rooms, corridors
BINS = 8
NETWORK_HEIGHT, NETWORK_WIDTH = 192, 256


def make_config() -> ZoeDepthConfig:
    """Return nyu-kitti's structure with a small BEiT and slim convolutions."""
    backbone = BeitConfig(
        hidden_size=192, num_hidden_layers=8, num_attention_heads=3, intermediate_size=768,
        image_size=256, patch_size=16, use_absolute_position_embeddings=True,
        drop_path_rate=0.0, layer_norm_eps=1e-6, reshape_hidden_states=False,
        out_features=['stage2', 'stage4', 'stage6', 'stage8'],
    )
    return ZoeDepthConfig(
        backbone_config=backbone, neck_hidden_sizes=[32, 48, 96, 128],
        fusion_hidden_size=32, bottleneck_features=32, num_relative_features=8,
        bin_embedding_dim=16, num_attractors=[16, 8, 4, 1],
        bin_configurations=[
            {'name': 'nyu', 'n_bins': BINS, 'min_depth': 1e-3, 'max_depth': 10.0},
            {'name': 'kitti', 'n_bins': BINS, 'min_depth': 1e-3, 'max_depth': 80.0},
        ],
        num_patch_transformer_layers=4, patch_transformer_hidden_size=128,
        patch_transformer_intermediate_size=256, patch_transformer_num_attention_heads=4,
    )


def make_processor() -> ZoeDepthImageProcessor:
    """Return the pre-processing of nyu-kitti at the small model's size."""
    return ZoeDepthImageProcessor(
        do_pad=True, do_resize=True, do_rescale=True, do_normalize=True,
        size={'height': NETWORK_HEIGHT, 'width': NETWORK_WIDTH}, resample=2,
        keep_aspect_ratio=True, ensure_multiple_of=32, rescale_factor=1 / 255,
        image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5],
    )


def make_model(seed: int) -> ZoeDepthForDepthEstimation:
    """
    Build the untrained model.

    :param seed: of the initial weights.
    """
    torch.manual_seed(seed)
    model = ZoeDepthForDepthEstimation(make_config())
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            # transformers' 0.02 lets the signal die on its way through so many convolutions
            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(model.backbone.beit.embeddings.position_embeddings, std=0.02)
    for name, farthest in zip(HEADS, (8.0, 12.0)):
        _start_bins(model.metric_head, name, farthest)
    return model


def _start_bins(head: Any, name: str, farthest: float) -> None:
    """Spread the bins over the depths of the world and let the pixels choose among them."""
    centres = torch.logspace(math.log10(0.6), math.log10(farthest), BINS)
    regressor = head.seed_bin_regressors[name]
    with torch.no_grad():
        regressor.conv2.bias.copy_(centres.expm1().log())  # the inverse of softplus
        regressor.conv2.weight.mul_(0.1)
        for attractor in head.attractors[name]:
            attractor.conv2.weight.mul_(0.1)
            attractor.conv2.bias.copy_(torch.linspace(0.6, farthest, 16).expm1().log())
        last = head.conditional_log_binomial[name].mlp[2]
        last.weight.mul_(0.3)
        last.bias.copy_(torch.tensor([0.5, 0.5, -4.0, 0.5]))  # a low temperature


@dataclass(frozen=True)
class Thinning:
    """What a training step leaves out of the metric head, which is slow to train in full."""

    first: tuple[int, int] = (0, 0)  # the first row and column to predict
    step: int = 1  # from one predicted pixel to the next
    attractors: tuple[int, ...] = tuple(range(16))  # those that pull in this step

    @staticmethod
    def draw(generator: torch.Generator) -> 'Thinning':
        """Take one pixel of each 2 x 2 and a quarter of the attractors."""
        row, column = torch.randint(2, (2,), generator=generator).tolist()
        attractors = torch.randperm(16, generator=generator)[:4].tolist()
        return Thinning((row, column), 2, tuple(attractors))

    def apply(self, image: Tensor) -> Tensor:
        """Keep the wanted pixels of (..., h, w)."""
        return image[..., self.first[0] :: self.step, self.first[1] :: self.step]

    def resize(self, image: Tensor, like: Tensor) -> Tensor:
        """Resize to another image's size, but compute the wanted pixels only."""
        rows, columns = (
            linear_weights(old, new).to(image)[first :: self.step]
            for old, new, first in zip(image.shape[-2:], like.shape[-2:], self.first))
        return rows @ image @ columns.T


@lru_cache
def linear_weights(old: int, new: int) -> Tensor:
    """Return the (new, old) matrix of linear interpolation with aligned corners."""
    return F.interpolate(torch.eye(old)[None], new, mode='linear', align_corners=True)[0].T


def forward(
    model: ZoeDepthForDepthEstimation,
    pixels: Tensor,
    head: str,
    precision: torch.dtype = torch.float32,
    thinning: Thinning = Thinning(),
) -> tuple[Tensor, Tensor]:
    """
    Run the model through a head of the caller's choice, as its own forward does.

    :param pixels: float32, (n, 3, h, w), normalised.
    :param head: 'nyu' or 'kitti'.
    :param precision: of everything but the metric head, which stays float32.
    :param thinning: what to leave out.
    :return: depth, metres, (n, h, w), of the wanted pixels, and domain logits (n, 2).
    """
    with torch.autocast(pixels.device.type, precision, enabled=precision != torch.float32):
        blocks, bottleneck = encode(model, pixels)
        _, activation = model.relative_head(blocks)
    features = Features(activation.float(), bottleneck.float(), [b.float() for b in blocks])
    return metric_depth(model.metric_head, features, head, thinning)


def encode(model: ZoeDepthForDepthEstimation, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
    """Run backbone and neck: the blocks from coarse to fine, and the bottleneck."""
    height, width = (side // model.patch_size for side in pixels.shape[-2:])
    blocks, bottleneck = model.neck(model.backbone(pixels).feature_maps, height, width)
    return blocks, bottleneck


def route(head: Any, x: Tensor) -> Tensor:
    """
    Run the router of `ZoeDepthMultipleMetricDepthEstimationHeads`.

    :param x: the projected bottleneck, (n, c, h, w), which the metric heads read as well.
    :return: domain logits, (n, 2).
    """
    logits: Tensor = head.mlp_classifier(head.patch_transformer(x)[:, 0])
    return logits


def router_parameters(model: ZoeDepthForDepthEstimation) -> list[nn.Parameter]:
    """Return the weights that choose the head, and nothing that gives metres."""
    head = model.metric_head
    return [*head.patch_transformer.parameters(), *head.mlp_classifier.parameters()]


@dataclass(frozen=True)
class Features:
    """What the metric head reads, (n, c, h, w) each."""

    activation: Tensor  # of the relative head, at the network's resolution
    bottleneck: Tensor
    blocks: list[Tensor]  # of the fusion stage, from coarse to fine


def metric_depth(
    head: Any, features: Features, name: str, thinning: Thinning
) -> tuple[Tensor, Tensor]:
    """Run `ZoeDepthMultipleMetricDepthEstimationHeads` through the named head."""
    x = head.conv2(features.bottleneck)
    logits = route(head, x)
    _, centres = head.seed_bin_regressors[name](x)
    embedding = head.seed_projector(x)
    for projector, attractor, block in zip(
        head.projectors, head.attractors[name], features.blocks
    ):
        coarse, embedding = embedding, projector(block)
        points = attractor.act1(attractor.conv1(embedding + resized(coarse, block)))
        points = attractor.act2(attractor.conv2(points))[:, thinning.attractors]
        centres = attract(points, resized(centres, block))
    activation = features.activation
    embedding = thinning.resize(embedding, activation)
    centres = thinning.resize(centres, activation)
    binomial = head.conditional_log_binomial[name]
    odds = binomial.mlp(torch.cat((thinning.apply(activation), embedding), 1)) + binomial.p_eps
    return expected_depth(odds, centres, binomial.min_temp, binomial.max_temp), logits


def resized(image: Tensor, like: Tensor) -> Tensor:
    """Resize to another image's size as the model does."""
    return F.interpolate(image, like.shape[-2:], mode='bilinear', align_corners=True)


def attract(attractors: Tensor, centres: Tensor) -> Tensor:
    """Move each bin centre by the mean pull of the attractors, (n, bins, h, w)."""
    offset = attractors.unsqueeze(2) - centres.unsqueeze(1)
    return centres + (offset / (1 + 300 * offset * offset)).mean(1)


def expected_depth(odds: Tensor, centres: Tensor, low: float, high: float) -> Tensor:
    """Average the bin centres under the log-binomial softmax, (n, h, w)."""
    p = odds[:, 0] / (odds[:, 0] + odds[:, 1])
    temperature = (high - low) * (odds[:, 2] / (odds[:, 2] + odds[:, 3])) + low
    hit, miss = p.clamp(1e-4, 1).log(), (1 - p).clamp(1e-4, 1).log()
    scores = [(log_choose(BINS - 1, k) + k * hit + (BINS - 1 - k) * miss) / temperature
              for k in range(BINS)]
    weights = torch.stack(scores, 1).softmax(1)
    return (weights * centres).sum(1)


def log_choose(n: float, k: float, eps: float = 1e-7) -> float:
    """Return log(n choose k) by Stirling's approximation, as transformers does."""
    n, k = n + eps, k + eps
    return n * math.log(n) - k * math.log(k) - (n - k) * math.log(n - k + eps)


def compile_slow_parts() -> None:
    """Fuse the two functions that touch every bin of every pixel."""
    global attract, expected_depth
    attract = torch.compile(attract, dynamic=False)
    expected_depth = torch.compile(expected_depth, dynamic=False)
