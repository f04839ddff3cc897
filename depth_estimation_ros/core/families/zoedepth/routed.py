# SPDX-License-Identifier: Apache-2.0
"""Weights of several metric heads, of which each image picks one head's, on the device."""

from typing import Any

import torch
from torch import Tensor, nn

ALIGNMENT = 32
"""Elements to which the weights of each layer are aligned, for the kernels of matrix products."""


class Routed(nn.Module):
    """A 1x1 convolution on rows of pixels, whose weights lie in a :class:`Bank`."""

    def __init__(self, weights: list[Tensor], biases: list[Tensor]) -> None:
        """
        Take the weights of each head until a bank collects them.

        :param weights: outputs×inputs each.
        :param biases: outputs each.
        """
        super().__init__()
        self.shape = (weights[0].shape[1], weights[0].shape[0])
        self.start = 0
        """Where in the bank the weight begins; the bias follows it."""
        self.heads: list[Tensor] = [
            torch.cat((weight.t().flatten(), bias))
            for weight, bias in zip(weights, biases, strict=True)]

    @classmethod
    def of(cls, convolutions: list[Any], every: int = 1) -> 'Routed':
        """Take the convolution of each head, and of its outputs every ``every``-th."""
        return cls([conv.weight.detach()[::every, :, 0, 0] for conv in convolutions],
                   [conv.bias.detach()[::every] for conv in convolutions])

    def chosen(self, bank: Tensor) -> tuple[Tensor, Tensor]:
        """Return each image's weight, N×inputs×outputs, and bias, N×1×outputs."""
        inputs, outputs = self.shape
        weight, bias = bank[:, self.start:self.start + (inputs + 1) * outputs].split(
            (inputs * outputs, outputs), dim=1)
        return weight.unflatten(1, self.shape), bias[:, None]

    def forward(self, rows: Tensor, bank: Tensor) -> Tensor:
        """Map N×rows×inputs to N×rows×outputs by the weights that each image has picked."""
        weight, bias = self.chosen(bank)
        return torch.baddbmm(bias, rows, weight)


class Bank(nn.Module):
    """The weights of all routed layers side by side, so that one look-up picks all of them."""

    weights: Tensor

    def __init__(self, modules: nn.Module) -> None:
        """Collect the weights of every :class:`Routed` inside a module."""
        super().__init__()
        collected: list[Tensor] = []
        start = 0
        for layer in modules.modules():
            if isinstance(layer, Routed):
                heads = torch.stack(layer.heads)
                layer.start, layer.heads = start, []
                collected.append(nn.functional.pad(heads, (0, -heads.shape[1] % ALIGNMENT)))
                start += collected[-1].shape[1]
        self.register_buffer('weights', torch.cat(collected, dim=1))

    def keep(self, head: int) -> None:
        """Release the weights of all heads but one, which is then the only one."""
        self.weights = self.weights[head:head + 1].clone()

    def forward(self, domain: Tensor | None, images: int) -> Tensor:
        """Return each image's weights, by the index of its head, N; by None the only head's."""
        return self.weights.expand(images, -1) if domain is None else self.weights[domain]
