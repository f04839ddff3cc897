# SPDX-License-Identifier: Apache-2.0
"""The neck: four maps of tokens become five grids of features, the finest last."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers.models.zoedepth.modeling_zoedepth import (
    ZoeDepthFeatureFusionLayer,
    ZoeDepthPreActResidualLayer,
    ZoeDepthReassembleStage,
    ZoeDepthRelativeDepthEstimationHead,
)

from ...kernels import convolve, upsample


class Reassemble(ZoeDepthReassembleStage):
    """
    The neck's reading of the backbone's tokens, stage by stage.

    The readout is ``project``, the only one that transformers itself can run. The readout token
    goes through its half of the projection once an image rather than once a patch.
    """

    def forward(self, hidden_states: list[Tensor], patch_height: int,
                patch_width: int) -> list[Tensor]:
        """Return for each stage's N×(1 + patches)×channels its N×channels×height×width."""
        grid = (patch_height, patch_width)
        return [layer(self._read(stage, tokens).transpose(1, 2).unflatten(2, grid))
                for stage, (layer, tokens) in enumerate(
                    zip(self.layers, hidden_states, strict=True))]

    def _read(self, stage: int, tokens: Tensor) -> Tensor:
        linear, activation = self.readout_projects[stage]
        of_patch, of_readout = linear.weight.chunk(2, dim=1)
        # All tokens, since a product of a part of them takes a slower way.
        projected = functional.linear(tokens, of_patch, linear.bias)[:, 1:]
        read: Tensor = activation(projected + functional.linear(tokens[:, :1], of_readout))
        return read


class Residual(ZoeDepthPreActResidualLayer):
    """Two convolutions whose result is added to what they read."""

    def forward(self, hidden_state: Tensor) -> Tensor:
        """Return a grid as large as its input."""
        if self.use_batch_norm:
            grid: Tensor = super().forward(hidden_state)
            return grid
        inner = convolve(self.convolution1, hidden_state.relu(), relu=True)
        return convolve(self.convolution2, inner, hidden_state)


class Fusion(ZoeDepthFeatureFusionLayer):
    """
    One stage of the neck that joins a coarser grid and a finer one.

    Its projection is a 1x1 convolution, which commutes with bilinear upsampling: done before it,
    on a quarter of the pixels.
    """

    def forward(self, hidden_state: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the joint grid at twice the height and width of ``hidden_state``."""
        if residual is not None:
            if hidden_state.shape != residual.shape:
                residual = functional.interpolate(
                    residual, hidden_state.shape[2:], mode='bilinear', align_corners=False)
            hidden_state = hidden_state + self.residual_layer1(residual)
        projected = convolve(self.projection, self.residual_layer2(hidden_state))
        if self.align_corners:
            return upsample(projected, (2 * projected.shape[2], 2 * projected.shape[3]))
        return functional.interpolate(projected, scale_factor=2, mode='bilinear')


class RelativeHead(ZoeDepthRelativeDepthEstimationHead):
    """The head that gives relative depth, and the features from which metric depth is read."""

    def forward(self, hidden_states: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return relative depth, N×height×width, and features, N×channels×height×width."""
        grid = hidden_states[self.head_in_index]
        if self.projection is not None:
            grid = convolve(self.projection, grid, relu=True)
        grid = convolve(self.conv1, grid)
        fine = upsample(grid, (2 * grid.shape[2], 2 * grid.shape[3]))
        features = convolve(self.conv2, fine, relu=True)
        return convolve(self.conv3, features, relu=True).squeeze(dim=1), features


REPLACED: dict[type[nn.Module], type[Any]] = {
    ZoeDepthReassembleStage: Reassemble,
    ZoeDepthFeatureFusionLayer: Fusion,
    ZoeDepthPreActResidualLayer: Residual,
    ZoeDepthRelativeDepthEstimationHead: RelativeHead,
}
"""What each of transformers' classes becomes."""
