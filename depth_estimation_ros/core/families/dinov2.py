# SPDX-License-Identifier: Apache-2.0
"""DINOv2, the backbone of Depth Anything: the same features in fewer passes.

Written against transformers 4.57 and 5.23, whose layers hold the same weights under other names.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings


class Embeddings(Dinov2Embeddings):
    """DINOv2's embeddings, their interpolated positions recorded."""

    recorded: Tensor | None = None

    def interpolate_pos_encoding(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the positions, 1×tokens×channels."""
        if self.recorded is None:
            encoding = super().interpolate_pos_encoding(*args, **kwargs)
            self.recorded = encoding.detach().contiguous()
        return self.recorded


class Attention(nn.Module):
    """Self-attention with query, key and value as one product, the layer scale in its output."""

    def __init__(self, query: nn.Linear, key: nn.Linear, value: nn.Linear, output: nn.Linear,
                 heads: int, scale: Tensor) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = _stacked(query, key, value)
        self.output = _scaled(output, scale)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map N×tokens×channels to the same shape."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(
            2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended


class Layer(nn.Module):
    """A layer of the transformer with its layer scales folded into the weights before them."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        attention = original.attention
        if hasattr(attention, 'q_proj'):  # transformers 5
            parts = attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj
            heads = attention.num_attention_heads
        else:
            inner = attention.attention
            parts = inner.query, inner.key, inner.value, attention.output.dense
            heads = inner.num_attention_heads
        self.norm1, self.norm2 = original.norm1, original.norm2
        self.attention = Attention(*parts, heads, original.layer_scale1.lambda1)
        self.mlp = original.mlp
        name = next(name for name in ('fc2', 'down_proj', 'weights_out')
                    if hasattr(self.mlp, name))
        setattr(self.mlp, name, _scaled(getattr(self.mlp, name), original.layer_scale2.lambda1))

    def forward(self, tokens: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map N×tokens×channels to the same shape."""
        tokens = tokens + self.attention(self.norm1(tokens))
        mapped: Tensor = tokens + self.mlp(self.norm2(tokens))
        return mapped


class Backbone(nn.Module):
    """The features of the wanted stages, without transformers' recording of hidden states."""

    def __init__(self, original: Any, patch: int) -> None:
        """
        Take over the weights of a transformers ``Dinov2Backbone``, which is of no use afterwards.

        :param patch: the side of a patch in pixels, as the rest of the model takes it.
        :raises ValueError: when it is another backbone, or gives something else than the patches'
            tokens after each wanted layer.
        """
        super().__init__()
        _check(original, patch)
        self.embeddings = original.embeddings
        self.embeddings.__class__ = Embeddings
        self.layers = nn.ModuleList(Layer(layer) for layer in original.encoder.layer)
        self.norm = original.layernorm if original.config.apply_layernorm else nn.Identity()
        self.stages = [original.stage_names.index(name) for name in original.out_features]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return for each wanted stage N×(1 + patches)×channels; pixels are N×3×H×W."""
        tokens, features = self.embeddings(pixels), []
        for stage, layer in enumerate(self.layers, start=1):
            tokens = layer(tokens)
            if stage in self.stages:
                features.append(self.norm(tokens))
        return features


def _check(original: Any, patch: int) -> None:
    """Raise ValueError for what would be left out without a word, or fail at the first image."""
    config = original.config
    if config.model_type != 'dinov2':  # registers, for one, would be left out
        raise ValueError(f"the backbone is '{config.model_type}': only 'dinov2' is supported")
    if config.reshape_hidden_states:
        raise ValueError('a backbone with reshape_hidden_states is not supported')
    if 'stem' in original.out_features:
        raise ValueError("a backbone whose out_features name 'stem' is not supported")
    if config.patch_size != patch:
        raise ValueError(f"patch_size is {patch}, but the backbone's is {config.patch_size}")


def _stacked(*linears: nn.Linear) -> nn.Linear:
    weight = torch.cat([linear.weight.detach() for linear in linears])
    stacked = nn.Linear(weight.shape[1], weight.shape[0], bias=linears[0].bias is not None)
    stacked.weight = nn.Parameter(weight, requires_grad=False)
    if stacked.bias is not None:
        bias = torch.cat([linear.bias.detach() for linear in linears])
        stacked.bias = nn.Parameter(bias, requires_grad=False)
    return stacked


def _scaled(linear: nn.Linear, scale: Tensor) -> nn.Linear:
    """Return the layer followed by a product with ``scale``, as one layer."""
    linear.weight = nn.Parameter(linear.weight.detach() * scale[:, None], requires_grad=False)
    if linear.bias is not None:
        linear.bias = nn.Parameter(linear.bias.detach() * scale, requires_grad=False)
    return linear
