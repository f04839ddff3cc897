# SPDX-License-Identifier: Apache-2.0
"""
ZoeDepth's metric head: bin centres drawn by attractors, weighed by a log-binomial.

It works on rows of pixels (N×rows×channels, the order of channels-last memory). A 1x1 convolution
is applied before bilinear upsampling rather than after: both are linear, so they commute.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.zoedepth.modeling_zoedepth import (
    ZoeDepthMultipleMetricDepthEstimationHeads,
    log_binom,
)

from ...kernels import Size, add_upsampled, attract, convolve, expected_depth
from .routed import Bank, Routed
from .router import Router


class MetricHead(nn.Module):
    """
    One or two metric heads, in place of transformers' single and multiple heads.

    Each image is routed by its own domain logits, on the device, without a sync. All but the
    router is float32, whatever the backbone's precision: here low precision would cost metres.
    """

    near: Tensor
    far: Tensor

    def __init__(self, original: Any) -> None:
        super().__init__()
        several = isinstance(original, ZoeDepthMultipleMetricDepthEstimationHeads)
        names = [head['name'] for head in original.bin_configurations] if several else []
        self.domains = tuple(names)
        self.tells_routing = False
        """Whether depth has a row more that says which head each image prefers."""
        self.forced: int | None = None
        """The head that every image goes to, whatever it prefers."""
        self.router = Router(original.patch_transformer, original.mlp_classifier) if (
            several) else None
        self.normed = original.bin_centers_type == 'normed'
        self.conv2, self.seed_projector = original.conv2, original.seed_projector
        self.projectors = original.projectors

        def of_each_head(module: Any) -> list[Any]:
            return [module[name] for name in names] if several else [module]

        seeds = of_each_head(
            original.seed_bin_regressors if several else original.seed_bin_regressor)
        self.seeds = Seeds(seeds, self.normed)
        self.attractors = nn.ModuleList(
            Attractors(list(stage), self.normed)
            for stage in zip(*of_each_head(original.attractors), strict=True))
        self.log_binomial = LogBinomial(of_each_head(original.conditional_log_binomial),
                                        original.seed_projector.conv2.out_channels)
        self.bank = Bank(self)
        for name in ('near', 'far'):
            depth = 'min_depth' if name == 'near' else 'max_depth'
            self.register_buffer(name, torch.tensor([[[float(getattr(s, depth))]] for s in seeds]))

    def forward(self, outconv_activation: Tensor, bottleneck: Tensor, feature_blocks: list[Tensor],
                relative_depth: Tensor) -> tuple[Tensor, Tensor | None]:
        """
        Return depth in metres, N×1×h×w, and the domain logits, N×heads, where there are any.

        With :attr:`tells_routing` depth has h + 1 rows, the last full of the number of the head
        that the image prefers, counted from 1; NaN where its logits are not finite.
        """
        bottleneck = convolve(self.conv2, bottleneck.float())
        logits = None if self.router is None else self.router(bottleneck)
        preferred = None if logits is None else logits.argmax(dim=-1)
        domain = preferred if preferred is None or self.forced is None else torch.full_like(
            preferred, self.forced)
        bank = self.bank(domain, len(bottleneck))
        size = _size(bottleneck)
        centres = self.seeds(_rows(bottleneck), bank)
        embedding = _rows(_projected(self.seed_projector, bottleneck))
        for projector, attractors, block in zip(
                self.projectors, self.attractors, feature_blocks, strict=True):
            before, size = size, _size(block)
            projected = _rows(_projected(projector, block.float()))
            mixed = add_upsampled(projected, embedding, before, size)
            centres = attractors(mixed, centres, before, size, bank)
            embedding = projected
        before, size = size, _size(outconv_activation)
        features = self._features(outconv_activation, relative_depth)
        centres = self._metres(centres, domain)
        depth = self.log_binomial(features, embedding, centres, before, size, bank)
        depth = depth.unflatten(1, size)
        if self.tells_routing and logits is not None and preferred is not None:
            told = preferred + 1 + 0 * logits.sum(-1)
            depth = torch.cat((depth, told[:, None, None].expand(-1, 1, size[1])), dim=1)
        return depth[:, None], logits

    def pin(self, head: int) -> None:
        """Send every image to one of several heads; the others' weights and the router go."""
        self.router = None
        self.bank.keep(head)
        self.near, self.far = self.near[head:head + 1], self.far[head:head + 1]

    def _features(self, activation: Tensor, relative_depth: Tensor) -> Tensor:
        """Return what the log-binomial knows of each pixel; a single head sees relative depth."""
        features = _rows(activation.float())
        if self.domains:
            return features
        relative = functional.interpolate(relative_depth.float()[:, None], _size(activation),
                                          mode='bilinear', align_corners=True)
        return torch.cat((features, _rows(relative)), dim=-1)

    def _metres(self, centres: Tensor, domain: Tensor | None) -> Tensor:
        if not self.normed:
            return centres
        near, far = (self.near, self.far) if domain is None else (
            self.near[domain], self.far[domain])
        ordered = (near + (far - near) * centres).sort(dim=-1).values
        return torch.minimum(torch.maximum(ordered, near), far)


class Seeds(nn.Module):
    """The first bin centres, before any attractor: N×rows×bins."""

    def __init__(self, originals: list[Any], normed: bool) -> None:
        super().__init__()
        self.normed = normed
        self.conv1 = Routed.of([original.conv1 for original in originals])
        self.conv2 = Routed.of([original.conv2 for original in originals])

    def forward(self, rows: Tensor, bank: Tensor) -> Tensor:
        """Return bin centres; ``rows`` is the bottleneck's N×rows×channels."""
        rows = self.conv2(self.conv1(rows, bank).relu(), bank)
        if not self.normed:
            return functional.softplus(rows)
        widths = rows.relu() + 1e-3
        widths = widths / widths.sum(-1, keepdim=True)
        return widths.cumsum(-1) - widths / 2


class Attractors(nn.Module):
    """One stage that draws the bin centres towards points predicted at each pixel."""

    def __init__(self, originals: list[Any], normed: bool) -> None:
        super().__init__()
        self.normed, self.mean = normed, originals[0].kind == 'mean'
        self.conv1 = Routed.of([original.conv1 for original in originals])
        # Of each pair of outputs transformers reads the first, when centres are normed.
        self.conv2 = Routed.of([original.conv2 for original in originals], 2 if normed else 1)

    def forward(self, rows: Tensor, centres: Tensor, before: Size, size: Size,
                bank: Tensor) -> Tensor:
        """
        Return the moved centres, N×rows×bins at ``size``.

        :param rows: the embedding of each pixel at ``size``.
        :param centres: N×rows×bins at ``before``.
        """
        points = self.conv2(self.conv1(rows, bank).relu(), bank)
        return attract(points, centres, before, size, normed=self.normed, mean=self.mean)


class LogBinomial(nn.Module):
    """Depth as the mean of the bin centres, weighed by a log-binomial conditioned on the pixel."""

    binomial: Tensor

    def __init__(self, originals: list[Any], condition: int) -> None:
        super().__init__()
        first = [original.mlp[0] for original in originals]
        weights = [conv.weight.detach()[:, :, 0, 0] for conv in first]
        self.feature = Routed([weight[:, :-condition] for weight in weights],
                              [conv.bias.detach() for conv in first])
        self.condition = Routed([weight[:, -condition:] for weight in weights],
                                [torch.zeros_like(conv.bias) for conv in first])
        self.second = Routed.of([original.mlp[2] for original in originals])
        self.temperatures = (originals[0].min_temp, originals[0].max_temp)
        count = originals[0].log_binomial_transform.k
        order = torch.arange(count, dtype=torch.float32)
        coefficients = log_binom(torch.tensor([count - 1]), order)
        self.register_buffer('binomial', torch.stack((coefficients, order, order.flip(0))))

    def forward(self, features: Tensor, embedding: Tensor, centres: Tensor, before: Size,
                size: Size, bank: Tensor) -> Tensor:
        """
        Return metres, N×rows at ``size``.

        :param features: of each pixel at ``size``.
        :param embedding: of each bin's pixel at ``before``.
        :param centres: of the bins in metres, at ``before``.
        """
        return expected_depth(
            self.feature(features, bank), self.condition(embedding, bank),
            *self.second.chosen(bank), centres, before, size, binomial=self.binomial,
            temperatures=self.temperatures)


def _projected(projector: Any, grid: Tensor) -> Tensor:
    """Run transformers' ``ZoeDepthProjector``."""
    return convolve(projector.conv2, convolve(projector.conv1, grid, relu=True))


def _rows(grid: Tensor) -> Tensor:
    """N×channels×height×width to N×rows×channels."""
    return grid.permute(0, 2, 3, 1).flatten(1, 2)


def _size(grid: Tensor) -> Size:
    height, width = grid.shape[2:]
    return height, width
