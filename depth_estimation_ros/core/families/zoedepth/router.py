# SPDX-License-Identifier: Apache-2.0
"""Which metric head an image goes to: a small transformer over the bottleneck."""

from typing import Any

from torch import Tensor, nn

from .backbone import attend, stacked


class RouterLayer(nn.Module):
    """One layer of the domain classifier's transformer, in place of transformers' own."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        attention = original.self_attn
        self.heads = attention.num_attention_heads
        self.projection = stacked([attention.query, attention.key, attention.value])
        self.output = attention.out_proj
        self.wide, self.narrow = original.linear1, original.linear2
        self.before, self.after = original.norm1, original.norm2
        self.activation = original.activation

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the layer's output, as large as its input, N×tokens×channels."""
        tokens = self.before(tokens + self.output(attend(self.projection(tokens), self.heads)))
        output: Tensor = self.after(
            tokens + self.narrow(self.activation(self.wide(tokens))))
        return output


class Router(nn.Module):
    """The domain logits of each image; every image is judged by itself."""

    def __init__(self, transformer: Any, classifier: Any) -> None:
        super().__init__()
        for index, layer in enumerate(transformer.transformer_encoder):
            transformer.transformer_encoder[index] = RouterLayer(layer)
        self.transformer, self.classifier = transformer, classifier

    def forward(self, bottleneck: Tensor) -> Tensor:
        """Return logits, float32 N×heads, of the bottleneck, N×channels×height×width."""
        bottleneck = bottleneck.to(self.classifier.linear1.weight.dtype)
        logits: Tensor = self.classifier(self.transformer(bottleneck)[:, 0])
        return logits.float()
