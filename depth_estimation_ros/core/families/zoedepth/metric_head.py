"""What transformers computes anew every frame, computed once; the same metres, fewer passes.

Each patch replaces one class of transformers' ZoeDepth or BEiT inside one loaded model; the
library itself and other models in the process stay as they are. Written against transformers 4.57
and 5.23, which agree on the classes named here.

* :class:`RelativePositionBias`, :class:`Embeddings`, :class:`PatchTransformer`: position codes
  depend on the network's size alone. The first pass at a size records what the library computes,
  later passes read it.
* :class:`Reassemble`: the readout token goes through its half of a projection once an image rather
  than once a patch, and no stage is copied to be cut off again.
* :class:`MetricHead`: one or two metric heads with the weights of all heads stacked. Each image
  picks its head's weights by its own domain logits, on the device, without a sync. A 1x1
  convolution is applied before bilinear upsampling rather than after (both are linear, so they
  commute).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.beit.modeling_beit import BeitEmbeddings, BeitRelativePositionBias
from transformers.models.zoedepth.modeling_zoedepth import (
    ZoeDepthMultipleMetricDepthEstimationHeads,
    ZoeDepthPatchTransformerEncoder,
    ZoeDepthReassembleStage,
    log_binom,
)

ALPHA = 300.0
"""The attractors' strength: transformers calls ``inv_attractor`` with its default whatever the
checkpoint's ``attractor_alpha`` says."""

EPSILON = 1e-4
"""The smallest probability and share of the log-binomial (transformers' ``p_eps`` and ``eps``)."""

CHUNK = 1 << 19
"""Elements of a bin tensor worked on at a time on the CPU, so that a chunk stays in its cache."""


class RelativePositionBias(BeitRelativePositionBias):
    """BEiT's relative position bias, recorded; rows aligned to 8 elements for fused kernels."""

    code: Tensor | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the bias, 1×heads×tokens×tokens."""
        if self.code is None:
            bias = super().forward(*args, **kwargs)
            tokens = bias.shape[-1]
            self.code = functional.pad(bias, (0, -tokens % 8))[..., :tokens]
        return self.code


class Embeddings(BeitEmbeddings):
    """BEiT's embeddings, their interpolated absolute positions recorded."""

    code: Tensor | None = None

    def interpolate_pos_encoding(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the positions, 1×tokens×channels."""
        if self.code is None:
            code = super().interpolate_pos_encoding(*args, **kwargs)
            self.code = code.detach().contiguous()
        return self.code


class PatchTransformer(ZoeDepthPatchTransformerEncoder):
    """The domain classifier's transformer, its sinusoidal positions recorded."""

    code: Tensor | None = None

    def positional_encoding_1d(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the positions, 1×tokens×channels, the same for every image."""
        if self.code is None:
            self.code = super().positional_encoding_1d(*args, **kwargs)[:1].clone()
        return self.code


class Reassemble(ZoeDepthReassembleStage):
    """
    The neck's reading of the backbone's tokens, stage by stage.

    The readout is ``project``, the only one that transformers itself can run.
    """

    def forward(self, hidden_states: list[Tensor], patch_height: int,
                patch_width: int) -> list[Tensor]:
        """Return for each stage's N×(1 + patches)×channels its N×channels×height×width."""
        grid = (patch_height, patch_width)
        return [layer(self._read(stage, tokens).transpose(1, 2).unflatten(2, grid))
                for stage, (layer, tokens) in enumerate(
                    zip(self.layers, hidden_states, strict=True))]

    def _read(self, stage: int, tokens: Tensor) -> Tensor:
        readout, patches = tokens[:, :1], tokens[:, 1:]
        linear, activation = self.readout_projects[stage]
        of_patch, of_readout = linear.weight.chunk(2, dim=1)
        read: Tensor = activation(functional.linear(patches, of_patch, linear.bias)
                                  + functional.linear(readout, of_readout))
        return read


RECORDED: dict[type[nn.Module], type[nn.Module]] = {
    BeitRelativePositionBias: RelativePositionBias,
    BeitEmbeddings: Embeddings,
    ZoeDepthPatchTransformerEncoder: PatchTransformer,
}


REPLACED: dict[type[nn.Module], type[nn.Module]] = {
    **RECORDED, ZoeDepthReassembleStage: Reassemble}


def patch(model: nn.Module) -> nn.Module:
    """
    Replace the classes named above inside ``model``, in place, and return it.

    :param model: transformers' ``ZoeDepthForDepthEstimation`` in float32, in evaluation mode.
    """
    for module in model.modules():
        module.__class__ = REPLACED.get(type(module), type(module))
    model.metric_head = MetricHead(model.metric_head)
    return model


def codes(model: nn.Module) -> list[Tensor | None]:
    """Return the position codes that the model's last sizes left recorded, module by module."""
    return [module.code for module in _recorded(model)]


def set_codes(model: nn.Module, values: list[Tensor | None] | None) -> None:
    """Install codes of one size, or with None forget them, so that the next pass records anew."""
    modules = _recorded(model)
    for module, value in zip(modules, values or [None] * len(modules), strict=True):
        module.code = value


def _recorded(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if type(module) in RECORDED.values()]


class MetricHead(nn.Module):
    """
    ZoeDepth's metric head: bin centres drawn by attractors, weighed by a log-binomial.

    Takes the place of transformers' single and multiple heads. It works on rows of pixels
    (N×rows×channels, the order of channels-last memory), in float32 whatever the backbone's
    precision: here is where low precision would cost metres.
    """

    near: Tensor
    far: Tensor

    def __init__(self, stock: Any) -> None:
        super().__init__()
        several = isinstance(stock, ZoeDepthMultipleMetricDepthEstimationHeads)
        names = [head['name'] for head in stock.bin_configurations] if several else []
        self.patch_transformer = stock.patch_transformer if several else None
        self.mlp_classifier = stock.mlp_classifier if several else None
        self.normed = stock.bin_centers_type == 'normed'
        self.conv2, self.seed_projector = stock.conv2, stock.seed_projector
        self.projectors = stock.projectors

        def of_each_head(module: Any) -> list[Any]:
            return [module[name] for name in names] if several else [module]

        seeds = of_each_head(stock.seed_bin_regressors if several else stock.seed_bin_regressor)
        self.seeds = Seeds(seeds, self.normed)
        self.attractors = nn.ModuleList(
            Attractors(list(stage), self.normed)
            for stage in zip(*of_each_head(stock.attractors), strict=True))
        self.log_binomial = LogBinomial(
            of_each_head(stock.conditional_log_binomial), stock.seed_projector.conv2.out_channels)
        for name in ('near', 'far'):
            depth = 'min_depth' if name == 'near' else 'max_depth'
            self.register_buffer(name, torch.tensor([[[float(getattr(s, depth))]] for s in seeds]))

    def forward(self, outconv_activation: Tensor, bottleneck: Tensor, feature_blocks: list[Tensor],
                relative_depth: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return depth in metres, N×1×h×w, and the domain logits, N×heads, where there are any."""
        bottleneck = self.conv2(bottleneck.float())
        domain, logits = self._route(bottleneck)
        size = bottleneck.shape[-2:]
        centres = self.seeds(_rows(bottleneck), domain)
        embedding = _rows(self.seed_projector(bottleneck))
        for projector, attractors, block in zip(
                self.projectors, self.attractors, feature_blocks, strict=True):
            before, size = size, block.shape[-2:]
            projected = _rows(projector(block.float()))
            mixed = projected + _resize(embedding, before, size)
            centres = attractors(mixed, _resize(centres, before, size), domain)
            embedding = projected
        before, size = size, outconv_activation.shape[-2:]
        features = _rows(outconv_activation.float())
        if self.mlp_classifier is None:
            relative = functional.interpolate(
                relative_depth.float()[:, None], size, mode='bilinear', align_corners=True)
            features = torch.cat((features, _rows(relative)), dim=-1)
        depth = self.log_binomial(
            features, embedding, self._metres(centres, domain), domain, before, size)
        return depth.unflatten(1, size)[:, None], logits

    def _route(self, bottleneck: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the index of each image's head, N, and the logits it was chosen by."""
        if self.patch_transformer is None or self.mlp_classifier is None:
            return bottleneck.new_zeros(len(bottleneck), dtype=torch.long), None
        logits = self.mlp_classifier(self.patch_transformer(bottleneck)[:, 0])
        return logits.argmax(dim=-1), logits

    def _metres(self, centres: Tensor, domain: Tensor) -> Tensor:
        if not self.normed:
            return centres
        near, far = self.near[domain], self.far[domain]
        ordered = (near + (far - near) * centres).sort(dim=-1).values
        return torch.minimum(torch.maximum(ordered, near), far)


class Routed(nn.Module):
    """A 1x1 convolution on rows of pixels; each image picks its weights, one set a head."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weights: list[Tensor], biases: list[Tensor]) -> None:
        super().__init__()
        self.register_buffer('weight', torch.stack([weight.t() for weight in weights]))
        self.register_buffer('bias', torch.stack([bias[None] for bias in biases]))

    @classmethod
    def of(cls, convolutions: list[Any], every: int = 1) -> 'Routed':
        """Take the convolution of each head, and of its outputs every ``every``-th."""
        return cls([conv.weight.detach()[::every, :, 0, 0] for conv in convolutions],
                   [conv.bias.detach()[::every] for conv in convolutions])

    def forward(self, rows: Tensor, domain: Tensor) -> Tensor:
        """Map N×rows×in to N×rows×out; ``domain`` is the index of each image's head, N."""
        return torch.baddbmm(self.bias[domain], rows, self.weight[domain])


class Seeds(nn.Module):
    """The first bin centres, before any attractor: N×rows×bins."""

    def __init__(self, stocks: list[Any], normed: bool) -> None:
        super().__init__()
        self.normed = normed
        self.conv1 = Routed.of([stock.conv1 for stock in stocks])
        self.conv2 = Routed.of([stock.conv2 for stock in stocks])

    def forward(self, rows: Tensor, domain: Tensor) -> Tensor:
        """Return bin centres; ``rows`` is the bottleneck's N×rows×channels."""
        rows = self.conv2(self.conv1(rows, domain).relu(), domain)
        if not self.normed:
            return functional.softplus(rows)
        widths = rows.relu() + 1e-3
        widths = widths / widths.sum(-1, keepdim=True)
        return widths.cumsum(-1) - widths / 2


class Attractors(nn.Module):
    """One stage that draws the bin centres towards points predicted at each pixel."""

    one: Tensor

    def __init__(self, stocks: list[Any], normed: bool) -> None:
        super().__init__()
        self.normed, self.mean = normed, stocks[0].kind == 'mean'
        self.conv1 = Routed.of([stock.conv1 for stock in stocks])
        self.conv2 = Routed.of([stock.conv2 for stock in stocks], every=2 if normed else 1)
        self.register_buffer('one', torch.ones(()))

    def forward(self, rows: Tensor, centres: Tensor, domain: Tensor) -> Tensor:
        """Move ``centres``, N×rows×bins; ``rows`` is the embedding of each pixel."""
        points = self.conv2(self.conv1(rows, domain).relu(), domain)
        points = points.relu() + 1e-3 if self.normed else functional.softplus(points)
        return _by_chunks(self._moved, centres, points)

    def _moved(self, centres: Tensor, points: Tensor) -> Tensor:
        shift = torch.zeros_like(centres)
        for point in points.split(1, dim=-1):
            gap = point - centres
            shift.addcdiv_(gap, torch.addcmul(self.one, gap, gap, value=ALPHA))
        return torch.add(centres, shift, alpha=1 / points.shape[-1] if self.mean else 1)


class LogBinomial(nn.Module):
    """Depth as the mean of the bin centres, weighed by a log-binomial conditioned on the pixel."""

    order: Tensor
    rest: Tensor
    constant: Tensor

    def __init__(self, stocks: list[Any], condition: int) -> None:
        super().__init__()
        first, second = [stock.mlp[0] for stock in stocks], [stock.mlp[2] for stock in stocks]
        weights = [conv.weight.detach()[:, :, 0, 0] for conv in first]
        self.feature = Routed([weight[:, :-condition] for weight in weights],
                              [conv.bias.detach() for conv in first])
        self.condition = Routed([weight[:, -condition:] for weight in weights],
                                [torch.zeros_like(conv.bias) for conv in first])
        self.second = Routed.of(second)
        self.low, self.high = stocks[0].min_temp, stocks[0].max_temp
        transform = stocks[0].log_binomial_transform
        bins = torch.arange(transform.k, dtype=torch.float32)
        self.register_buffer('order', bins)
        self.register_buffer('rest', bins.flip(0))
        self.register_buffer('constant', log_binom(torch.tensor([transform.k - 1]), bins))

    def forward(self, features: Tensor, embedding: Tensor, centres: Tensor, domain: Tensor,
                before: torch.Size, size: torch.Size) -> Tensor:
        """
        Return metres, N×rows at ``size``.

        :param features: of each pixel at ``size``.
        :param embedding: of each bin's pixel at ``before``.
        :param centres: of the bins in metres, at ``before``.
        :param domain: the index of each image's head, N.
        """
        condition = _resize(self.condition(embedding, domain), before, size)
        hidden = functional.gelu(self.feature(features, domain) + condition)
        shares = functional.softplus(self.second(hidden, domain)) + EPSILON
        share = shares[..., 0::2] / (shares[..., 0::2] + shares[..., 1::2])
        return _by_chunks(self._mean, _resize(centres, before, size), share).squeeze(-1)

    def _mean(self, centres: Tensor, share: Tensor) -> Tensor:
        probability, warmth = share.split(1, dim=-1)
        temperature = (self.high - self.low) * warmth + self.low
        scores = torch.addcmul(self.constant, self.order, probability.clamp(EPSILON, 1.0).log())
        scores.addcmul_(self.rest, (1 - probability).clamp(EPSILON, 1.0).log()).div_(temperature)
        return (scores.softmax(dim=-1) * centres).sum(dim=-1, keepdim=True)


def _rows(grid: Tensor) -> Tensor:
    """N×channels×height×width to N×rows×channels."""
    return grid.permute(0, 2, 3, 1).flatten(1, 2)


def _resize(rows: Tensor, before: torch.Size, size: torch.Size) -> Tensor:
    """Bilinear with aligned corners, on rows of pixels."""
    grid = rows.unflatten(1, before).permute(0, 3, 1, 2)
    return _rows(functional.interpolate(grid, size, mode='bilinear', align_corners=True))


def _by_chunks(function: Callable[[Tensor, Tensor], Tensor], bins: Tensor,
               points: Tensor) -> Tensor:
    """Apply a function of each row, on the CPU piece by piece: temporaries stay in its cache."""
    if bins.is_cuda or torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return function(bins, points)
    count = max(CHUNK // bins.shape[-1], 1)
    pieces = zip(bins.flatten(0, 1).split(count), points.flatten(0, 1).split(count), strict=True)
    done = torch.cat([function(*piece) for piece in pieces])
    return done.view(*bins.shape[:2], -1)
