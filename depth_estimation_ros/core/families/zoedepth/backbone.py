# SPDX-License-Identifier: Apache-2.0
"""BEiT as inference runs it: one product for query, key and value, layer scales in the weights.

Built from the backbone of transformers 4.57 or 5.23, whose classes differ in names only. It keeps
the four feature maps that the neck reads, where transformers keeps the output of every layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import BackboneOutput

from ...kernels import add_norm


class Backbone(nn.Module):
    """BEiT's embeddings and layers, with the interface that ZoeDepth calls its backbone by."""

    def __init__(self, original: Any) -> None:
        """
        Take over the modules of a backbone, which is of no use afterwards.

        :param original: transformers' ``BeitBackbone``, in float32.
        """
        super().__init__()
        body = getattr(original, 'beit', original)  # transformers 5 wraps it once more
        encoder = getattr(body, 'encoder', body)
        self.embeddings = body.embeddings
        self.shared_bias = getattr(body, 'shared_position_bias', None) or getattr(
            encoder, 'relative_position_bias', None)
        layers = encoder.layers if hasattr(encoder, 'layers') else encoder.layer
        self.layers = nn.ModuleList()
        for index, layer in enumerate(layers):
            self.layers.append(Layer(layer, original.config.num_attention_heads))
            layers[index] = nn.Identity()  # its weights are free to go before the next is read
        self.patch_size = original.config.patch_size
        self.depths = [depth for depth, stage in enumerate(original.stage_names)
                       if stage in original.out_features]
        """After how many layers each feature map is taken."""

    def forward_with_filtered_kwargs(self, pixels: Tensor, **kwargs: Any) -> BackboneOutput:
        """Run the network; what the caller else wants to be returned is not to be had."""
        return BackboneOutput(feature_maps=self(pixels))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return each feature map, N×(1 + patches)×channels, of pixels, N×3×height×width."""
        tokens = self.embeddings(pixels)
        tokens = tokens[0] if isinstance(tokens, tuple) else tokens
        window = (pixels.shape[2] // self.patch_size, pixels.shape[3] // self.patch_size)
        shared = None if self.shared_bias is None else self.shared_bias(window)
        maps = [tokens]
        layers: list[Any] = list(self.layers[:self.depths[-1]])
        normed = layers[0].before(tokens)
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            tokens, update = layer(tokens, normed, window, shared)
            if following is None:
                tokens = tokens + update
            else:
                tokens, normed = add_norm(tokens, update, following.before)
            maps.append(tokens)
        return tuple(maps[depth] for depth in self.depths)


class Layer(nn.Module):
    """One of BEiT's layers."""

    def __init__(self, original: Any, heads: int) -> None:
        super().__init__()
        attention = original.attention
        inner = getattr(attention, 'attention', attention)
        self.heads = heads
        self.bias = getattr(original, 'relative_position_bias', None) or getattr(
            inner, 'relative_position_bias', None)
        self.before, self.after = original.layernorm_before, original.layernorm_after
        names = ('q_proj', 'k_proj', 'v_proj') if hasattr(inner, 'q_proj') else (
            'query', 'key', 'value')
        self.projection = stacked([getattr(inner, name) for name in names])
        if hasattr(original, 'mlp'):
            self.output = attention.o_proj
            self.wide, self.narrow = original.mlp.fc1, original.mlp.fc2
            self.activation = original.mlp.activation_fn
        else:
            self.output = attention.output.dense
            self.wide, self.narrow = original.intermediate.dense, original.output.dense
            self.activation = original.intermediate.intermediate_act_fn
        for linear, scale in ((self.output, original.lambda_1), (self.narrow, original.lambda_2)):
            if torch.is_tensor(scale):
                scale_outputs(linear, scale)

    def forward(self, tokens: Tensor, normed: Tensor, window: tuple[int, int],
                shared: Tensor | None) -> tuple[Tensor, Tensor]:
        """
        Return two tensors whose sum is the layer's output; each is as large as its input.

        Who adds them normalises the sum for the next layer in the same pass.

        :param tokens: N×(1 + patches)×channels.
        :param normed: the same, normalised by :attr:`before`.
        :param window: the height and width of the image in patches.
        :param shared: the position bias of all layers, where they share one.
        """
        bias = shared if self.bias is None else self.bias(window)
        read = self.output(attend(self.projection(normed), self.heads, bias))
        tokens, normed = add_norm(tokens, read, self.after)
        return tokens, self.narrow(self.activation(self.wide(normed)))


def attend(projected: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """
    Return what each token reads, N×tokens×channels.

    :param projected: the query, key and value of every head, N×tokens×(3·channels).
    :param bias: added to the scores before the softmax, 1×heads×tokens×tokens.
    """
    query, key, value = projected.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    read = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return read.transpose(1, 2).flatten(2)


def stacked(linears: list[Any]) -> nn.Linear:
    """Return one linear layer that gives the outputs of several, side by side."""
    biases = [linear.weight.new_zeros(linear.out_features) if linear.bias is None else linear.bias
              for linear in linears]
    with torch.device('meta'):
        one = nn.Linear(linears[0].in_features, sum(linear.out_features for linear in linears))
    one.weight = nn.Parameter(torch.cat([linear.weight for linear in linears]), False)
    one.bias = nn.Parameter(torch.cat(biases), False)
    return one


@torch.no_grad()
def scale_outputs(linear: Any, scale: Tensor) -> None:
    """Multiply a linear layer's outputs by a factor each, in its weights."""
    linear.weight.mul_(scale[:, None])
    linear.bias.mul_(scale)
