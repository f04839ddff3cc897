# SPDX-License-Identifier: Apache-2.0
"""What a frame of the full-size network costs a GPU: launches and bytes, counted without one.

The network runs on the meta device, where tensors have a shape and no memory. An operation counts
that writes memory (views do not); its bytes are what it reads and writes. Kernels of our own count
as one operation each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import ZoeDepthForDepthEstimation

from depth_estimation_ros.core import kernels, precision
from depth_estimation_ros.core.families.recorded import set_position_encodings
from depth_estimation_ros.core.families.zoedepth import patch
from depth_estimation_ros.core.families.zoedepth.family import float32_parts
from depth_estimation_ros.tools.architectures import full_size_config

HEIGHT, WIDTH = 384, 512
"""What the network sees of an image of 640x480."""


class Cost(TorchDispatchMode):
    """Counts operations that write memory, and what they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and not func.name().startswith(('aten::empty', 'aten::_unsafe_view')):
            self.add(func.name(), (args, kwargs, result))
        return result

    def add(self, name: str, tensors: Any) -> None:
        self.operations[name] += 1
        self.bytes += sum(memory(leaf) for leaf in tree_leaves(tensors) if torch.is_tensor(leaf))


def memory(tensor: Tensor) -> int:
    """Return the bytes that a tensor's elements lie in; those of a broadcast one count once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def double(cost: Cost) -> SimpleNamespace:
    """Return kernels that do nothing but count, and give outputs of the right shapes."""
    def counted(name: str, output: Tensor, *inputs: Tensor) -> Tensor:
        cost.add(name, (*inputs, output))
        return output

    def rows(of: Tensor, size: tuple[int, int], *columns: int) -> Tensor:
        return torch.empty(len(of), size[0] * size[1], *columns, device='meta')

    def upsample(grid: Tensor, size: tuple[int, int]) -> Tensor:
        output = torch.empty(*grid.shape[:2], *size, dtype=grid.dtype, device='meta',
                             memory_format=torch.channels_last)
        return counted('upsample', output, grid)

    def add_upsampled(fine: Tensor, coarse: Tensor, before: Any, size: Any) -> Tensor:
        return counted('add_upsampled', torch.empty_like(fine), fine, coarse)

    def attract(points: Tensor, centres: Tensor, before: Any, size: Any, **how: Any) -> Tensor:
        return counted('attract', rows(centres, size, centres.shape[2]), points, centres)

    def expected_depth(features: Tensor, condition: Tensor, weight: Tensor, bias: Tensor,
                       centres: Tensor, before: Any, size: Any, **how: Any) -> Tensor:
        return counted('expected_depth', rows(centres, size), features, condition, weight, centres)

    def add_norm(tokens: Tensor, update: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
        total, normed = torch.empty_like(tokens), torch.empty_like(tokens)
        cost.add('add_norm', (tokens, update, total, normed))
        return total, normed

    def convolve(convolution: Any, grid: Tensor, residual: Tensor | None = None, *,
                 relu: bool = False) -> Tensor:
        pointwise = convolution.kernel_size == (1, 1)
        bias = convolution.bias if pointwise else None
        output = functional.conv2d(grid, convolution.weight, bias, convolution.stride,
                                   convolution.padding)
        if relu or residual is not None or (convolution.bias is not None and not pointwise):
            cost.add('finish', (output, output, residual))
        return output

    return SimpleNamespace(upsample=upsample, add_upsampled=add_upsampled, attract=attract,
                           expected_depth=expected_depth, add_norm=add_norm, convolve=convolve)


def attention(cost: Cost) -> Callable[..., Tensor]:
    """Return an attention that counts as one operation, as it is on a GPU."""
    def attend(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
               **how: Any) -> Tensor:
        images, heads, tokens, channels = query.shape
        output = torch.empty(images, tokens, heads, channels, dtype=query.dtype,
                             device='meta').transpose(1, 2)
        cost.add('attention', (query, key, value, attn_mask, output))
        return output
    return attend


def full_size_model() -> nn.Module:
    """Return transformers' network in float32, on no device."""
    with torch.device('meta'):
        model: Any = ZoeDepthForDepthEstimation(full_size_config()).eval().requires_grad_(False)
    return model


def lowered(model: nn.Module) -> nn.Module:
    low: Any = precision.lowered(model, torch.float16, float32_parts(model))
    return low.to('meta', memory_format=torch.channels_last)


def cost_of(model: nn.Module, batch: int, monkeypatch: pytest.MonkeyPatch,
            fused: bool = False) -> Cost:
    """Return what a pass costs after the one that records the position encodings."""
    pixels = torch.empty(batch, 3, HEIGHT, WIDTH, dtype=torch.float16, device='meta')
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), monkeypatch.context() as context:
        model(pixels[:1])
        cost = Cost()
        context.setattr(functional, 'scaled_dot_product_attention', attention(cost))
        if fused:
            context.setattr(kernels, 'form', partial(lambda form, tensor: form, double(cost)))
        with cost:
            model(pixels)
    return cost


@pytest.mark.parametrize(('fused', 'batch', 'operations', 'gigabytes'), [
    (True, 1, 378, 3.85), (True, 8, 378, 22.8), (False, 1, 655, 7.4), (False, 8, 655, 51.0)])
def test_a_frame_keeps_to_its_budget(fused: bool, batch: int, operations: int, gigabytes: float,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    cost = cost_of(lowered(patch(full_size_model())), batch, monkeypatch, fused)
    assert sum(cost.operations.values()) <= operations, cost.operations
    assert cost.bytes <= gigabytes * 1e9


def test_position_biases_are_prepared_once_and_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    model, biases = lowered(patch(full_size_model())), []

    def attend(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
               **how: Any) -> Tensor:
        if attn_mask is not None:
            biases.append(attn_mask)
        return torch.empty_like(query)

    monkeypatch.setattr(functional, 'scaled_dot_product_attention', attend)
    for height, width in ((384, 512), (384, 672), (192, 256), (32, 32)):
        set_position_encodings(model, None)
        biases.clear()
        for _ in range(2):
            pixels = torch.empty(2, 3, height, width, dtype=torch.float16, device='meta')
            model(pixels)
        first, second = biases[:24], biases[24:]
        assert all(bias is again for bias, again in zip(first, second, strict=True))
        for bias in first:
            assert bias.dtype == torch.float16 and bias.stride(-1) == 1
            assert all(stride % 8 == 0 for stride in bias.stride()[:-1])
