# SPDX-License-Identifier: Apache-2.0
"""What depends on the network's size alone, recorded at the first pass and read at later ones."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.beit.modeling_beit import BeitEmbeddings, BeitRelativePositionBias
from transformers.models.zoedepth.modeling_zoedepth import ZoeDepthPatchTransformerEncoder

ALIGNMENT = 8
"""Elements to which each row of a bias is aligned: fused attention kernels read it by vectors."""


class RelativePositionBias(BeitRelativePositionBias):
    """BEiT's relative position bias, recorded."""

    recorded: Tensor | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the bias, 1×heads×tokens×tokens; all strides but the last are aligned."""
        if self.recorded is None:
            bias = super().forward(*args, **kwargs)
            tokens = bias.shape[-1]
            self.recorded = functional.pad(bias, (0, -tokens % ALIGNMENT))[..., :tokens]
        return self.recorded


class Embeddings(BeitEmbeddings):
    """BEiT's embeddings, their interpolated absolute positions recorded."""

    recorded: Tensor | None = None

    def interpolate_pos_encoding(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the positions, 1×tokens×channels."""
        if self.recorded is None:
            encoding = super().interpolate_pos_encoding(*args, **kwargs)
            self.recorded = encoding.detach().contiguous()
        return self.recorded


class PatchTransformer(ZoeDepthPatchTransformerEncoder):
    """The domain classifier's transformer, its sinusoidal positions recorded."""

    recorded: Tensor | None = None

    def positional_encoding_1d(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the positions, 1×tokens×channels, the same for every image."""
        if self.recorded is None:  # reckoned in float32: half precision has no sine of 700
            exact = super().positional_encoding_1d(*args, **{**kwargs, 'dtype': torch.float32})
            self.recorded = exact[:1].to(kwargs['dtype'], copy=True)
        return self.recorded


RECORDED: dict[type[nn.Module], type[nn.Module]] = {
    BeitRelativePositionBias: RelativePositionBias,
    BeitEmbeddings: Embeddings,
    ZoeDepthPatchTransformerEncoder: PatchTransformer,
}
"""What each of transformers' classes becomes."""


def record(model: nn.Module) -> None:
    """Have a model keep its position encodings, in place."""
    for module in model.modules():
        module.__class__ = RECORDED.get(type(module), type(module))

