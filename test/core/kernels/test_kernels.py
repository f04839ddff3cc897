# SPDX-License-Identifier: Apache-2.0
"""The kernels in both forms, each against the same arithmetic in float64."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from depth_estimation_ros.core import kernels
from depth_estimation_ros.core.kernels import plain

RUNS_TRITON = find_spec('triton') is not None and (
    os.environ.get('TRITON_INTERPRET') == '1' or torch.cuda.is_available())

NEEDS_TRITON = pytest.mark.skipif(
    not RUNS_TRITON, reason='needs Triton and a GPU, or its interpreter: make test-triton')

DEVICE = 'cuda' if torch.cuda.is_available() and os.environ.get('TRITON_INTERPRET') != '1' else (
    'cpu')

SIZES = pytest.mark.parametrize(('before', 'size'), [
    ((6, 8), (12, 16)), ((3, 5), (7, 11)), ((1, 1), (3, 2)), ((4, 4), (1, 1)), ((5, 2), (5, 2)),
    ((2, 7), (9, 1))])


@pytest.fixture(params=['plain', pytest.param('fused', marks=NEEDS_TRITON)])
def form(request: pytest.FixtureRequest) -> ModuleType:
    """Each form in turn, whichever the device would choose."""
    if request.param == 'plain':
        return plain
    from depth_estimation_ros.core.kernels import fused
    return fused


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.no_grad():
        yield


def values(*shape: int, seed: int = 0, spread: float = 1.0) -> Tensor:
    """Return random float32 values, the same each time."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * spread).to(DEVICE)


def reference_resize(rows: Tensor, before: tuple[int, int], size: tuple[int, int]) -> Tensor:
    grid = rows.double().unflatten(1, before).permute(0, 3, 1, 2)
    resized = functional.interpolate(grid, size, mode='bilinear', align_corners=True)
    return resized.permute(0, 2, 3, 1).flatten(1, 2)


def reference_attract(points: Tensor, centres: Tensor, before: tuple[int, int],
                      size: tuple[int, int], *, normed: bool, mean: bool) -> Tensor:
    centres = reference_resize(centres, before, size)
    points = points.double()
    points = points.relu() + 1e-3 if normed else functional.softplus(points)
    gap = points[..., None] - centres[..., None, :]
    pull = gap / (1 + 300 * gap ** 2)
    return centres + (pull.mean(dim=-2) if mean else pull.sum(dim=-2))


def reference_depth(tensors: list[Tensor], before: tuple[int, int], size: tuple[int, int],
                    binomial: Tensor, temperatures: tuple[float, float]) -> Tensor:
    features, condition, weight, bias, centres = tensors
    hidden = functional.gelu(features.double() + reference_resize(condition, before, size))
    outputs = functional.softplus(hidden @ weight.double() + bias.double()) + 1e-4
    probability = outputs[..., :1] / outputs[..., :2].sum(dim=-1, keepdim=True)
    mixture = outputs[..., 2:3] / outputs[..., 2:].sum(dim=-1, keepdim=True)
    low, high = temperatures
    coefficients, order, remaining = binomial.double()
    scores = (coefficients + order * probability.clamp(1e-4, 1).log()
              + remaining * (1 - probability).clamp(1e-4, 1).log())
    shares = (scores / ((high - low) * mixture + low)).softmax(dim=-1)
    return (shares * reference_resize(centres, before, size)).sum(dim=-1)


def assert_near(ours: Tensor, exact: Tensor, tolerance: float = 1e-5) -> None:
    assert ours.shape == exact.shape and ours.isfinite().all()
    assert ((ours - exact).abs() <= tolerance * exact.abs().clamp(min=0.3)).all()


@SIZES
@pytest.mark.parametrize(('images', 'channels'), [(1, 32), (3, 5)])
def test_a_grid_is_resized(form: ModuleType, before: tuple[int, int], size: tuple[int, int],
                           images: int, channels: int) -> None:
    grid = values(images, channels, *before)
    exact = functional.interpolate(grid.double(), size, mode='bilinear', align_corners=True)
    for layout in (torch.contiguous_format, torch.channels_last):
        assert_near(form.upsample(grid.contiguous(memory_format=layout), size), exact)


def test_a_grid_of_more_channels_than_a_tile_is_resized(form: ModuleType) -> None:
    grid = values(1, 300, 3, 4)
    exact = functional.interpolate(grid.double(), (6, 8), mode='bilinear', align_corners=True)
    assert_near(form.upsample(grid, (6, 8)), exact)


def test_half_precision_stays_half(form: ModuleType) -> None:
    grid = values(2, 16, 4, 5).half()
    resized = form.upsample(grid, (8, 10))
    assert resized.dtype == torch.float16
    exact = functional.interpolate(grid.double(), (8, 10), mode='bilinear', align_corners=True)
    assert_near(resized, exact, 1e-3)


@SIZES
def test_a_coarse_grid_is_added(form: ModuleType, before: tuple[int, int],
                                size: tuple[int, int]) -> None:
    rows, coarse = values(2, size[0] * size[1], 12), values(2, before[0] * before[1], 12, seed=1)
    exact = rows.double() + reference_resize(coarse, before, size)
    assert_near(form.add_upsampled(rows, coarse, before, size), exact)


@SIZES
@pytest.mark.parametrize('normed', [True, False])
@pytest.mark.parametrize('mean', [True, False])
def test_centres_are_drawn(form: ModuleType, before: tuple[int, int], size: tuple[int, int],
                           normed: bool, mean: bool) -> None:
    points = values(2, size[0] * size[1], 4, spread=3)
    centres = values(2, before[0] * before[1], 24, seed=1).abs()
    how = {'normed': normed, 'mean': mean}
    assert_near(form.attract(points, centres, before, size, **how),
                reference_attract(points, centres, before, size, **how))


@pytest.mark.parametrize('bins', [1, 2, 7, 33, 64])
@pytest.mark.parametrize('attractors', [1, 3, 16])
def test_any_number_of_bins_and_attractors(form: ModuleType, bins: int, attractors: int) -> None:
    points, centres = values(1, 77, attractors), values(1, 15, bins, seed=1).abs()
    exact = reference_attract(points, centres, (3, 5), (7, 11), normed=False, mean=True)
    assert_near(form.attract(points, centres, (3, 5), (7, 11), normed=False, mean=True), exact)


def test_attractors_far_out_keep_their_precision(form: ModuleType) -> None:
    far = torch.tensor([-80.0, -12.0, -3.0, 0.0, 19.0, 21.0, 60.0], device=DEVICE)
    points = far[None, :, None]
    centres = torch.zeros(1, 7, 3, device=DEVICE)
    how = {'normed': False, 'mean': True}
    ours = form.attract(points, centres, (1, 7), (1, 7), **how)
    exact = reference_attract(points, centres, (1, 7), (1, 7), **how)
    torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=0)


def depth_inputs(before: tuple[int, int], size: tuple[int, int], bins: int = 24,
                 channels: int = 20, images: int = 2) -> tuple[list[Tensor], Tensor]:
    coarse, fine = before[0] * before[1], size[0] * size[1]
    tensors = [values(images, fine, channels), values(images, coarse, channels, seed=1),
               values(images, channels, 4, seed=2), values(images, 1, 4, seed=3),
               values(images, coarse, bins, seed=4).abs() + 0.1]
    order = torch.arange(bins, dtype=torch.float32)
    coefficients = torch.lgamma(torch.tensor(float(bins))) - (
        torch.lgamma(order + 1) + torch.lgamma(bins - order))
    return tensors, torch.stack((coefficients, order, order.flip(0))).to(DEVICE)


@SIZES
def test_depth_is_the_mean_of_the_centres(form: ModuleType, before: tuple[int, int],
                                          size: tuple[int, int]) -> None:
    tensors, binomial = depth_inputs(before, size)
    ours = form.expected_depth(*tensors, before, size, binomial=binomial, temperatures=(0.2, 50.0))
    assert_near(ours, reference_depth(tensors, before, size, binomial, (0.2, 50.0)))


@pytest.mark.parametrize('bins', [1, 3, 31, 64])
@pytest.mark.parametrize('channels', [1, 40, 80])
def test_any_number_of_bins_and_channels(form: ModuleType, bins: int, channels: int) -> None:
    tensors, binomial = depth_inputs((3, 5), (7, 11), bins, channels)
    ours = form.expected_depth(*tensors, (3, 5), (7, 11), binomial=binomial,
                               temperatures=(0.2, 50.0))
    assert_near(ours, reference_depth(tensors, (3, 5), (7, 11), binomial, (0.2, 50.0)))


def test_certain_pixels_give_a_centre(form: ModuleType) -> None:
    tensors, binomial = depth_inputs((3, 5), (7, 11))
    tensors[3] = torch.tensor([[[90.0, -90.0, -90.0, 90.0]]], device=DEVICE).expand(2, -1, -1)
    ours = form.expected_depth(*tensors, (3, 5), (7, 11), binomial=binomial,
                               temperatures=(0.02, 50.0))
    last = reference_resize(tensors[4], (3, 5), (7, 11))[..., -1]
    assert_near(ours, last, 1e-3)


def test_inputs_need_not_be_contiguous(form: ModuleType) -> None:
    before, size = (3, 5), (7, 11)
    tensors, binomial = depth_inputs(before, size)
    strided = [torch.stack((tensor, tensor + 1), dim=-1)[..., 0] for tensor in tensors]
    assert not any(tensor.is_contiguous() for tensor in strided[:3])
    how = {'binomial': binomial, 'temperatures': (0.2, 50.0)}
    ours = form.expected_depth(*strided, before, size, **how)
    assert_near(ours, reference_depth(tensors, before, size, binomial, (0.2, 50.0)))
    points = values(2, 4, 77).transpose(1, 2)
    drawn = form.attract(points, strided[4], before, size, normed=True, mean=False)
    assert_near(drawn, reference_attract(
        points, tensors[4], before, size, normed=True, mean=False))
    shared = tensors[4][:1].expand(2, -1, -1)
    assert_near(form.attract(points, shared, before, size, normed=True, mean=False),
                reference_attract(points, shared, before, size, normed=True, mean=False))


def test_half_precision_inputs_are_reckoned_in_float32(form: ModuleType) -> None:
    before, size = (3, 5), (7, 11)
    tensors, binomial = depth_inputs(before, size)
    tensors[0] = tensors[0].half()
    ours = form.expected_depth(*tensors, before, size, binomial=binomial, temperatures=(0.2, 50.0))
    assert ours.dtype == torch.float32
    assert_near(ours, reference_depth(tensors, before, size, binomial, (0.2, 50.0)))


@pytest.mark.parametrize(('size', 'start', 'kept'), [
    ((23, 31), (3, 4), (16, 22)), ((9, 14), (0, 0), (9, 14)), ((5, 6), (2, 5), (1, 1)),
    ((60, 50), (50, 3), (10, 47))])
def test_a_part_of_a_bicubic_resize_is_that_of_the_whole(
        form: ModuleType, size: tuple[int, int], start: tuple[int, int],
        kept: tuple[int, int]) -> None:
    grid = values(9, 14)
    whole = functional.interpolate(grid[None, None], size, mode='bicubic')[0, 0]
    part = whole[start[0]:start[0] + kept[0], start[1]:start[1] + kept[1]]
    ours = form.bicubic(grid, size, start, kept)
    assert ours.is_contiguous()
    if form is plain:
        assert torch.equal(ours, part)
    torch.testing.assert_close(ours, part, rtol=1e-5, atol=3e-6)


def test_a_pixel_that_is_not_a_number_stays_where_it_is(form: ModuleType) -> None:
    grid = values(9, 14).abs()
    grid[4, 6] = torch.nan
    whole = functional.interpolate(grid[None, None], (18, 28), mode='bicubic')[0, 0]
    ours = form.bicubic(grid, (18, 28), (2, 3), (14, 20))
    assert torch.equal(ours.isnan(), whole[2:16, 3:23].isnan())


@NEEDS_TRITON
@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize('spoilt', range(5))
def test_what_overflowed_comes_out_as_in_torch(value: float, spoilt: int) -> None:
    from depth_estimation_ros.core.kernels import fused
    before, size = (3, 5), (7, 11)
    tensors, binomial = depth_inputs(before, size)
    tensors[spoilt].flatten()[1] = value
    how = {'binomial': binomial, 'temperatures': (0.2, 50.0)}
    ours, expected = (form.expected_depth(*tensors, before, size, **how)
                      for form in (fused, plain))
    if spoilt in (2, 3):  # an infinite weight, by which torch chooses a bin
        assert not ours.isfinite().any(1)[0]
        return
    assert not expected.isfinite().all()
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


@NEEDS_TRITON
@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize('normed', [True, False])
def test_attractors_that_overflowed_draw_as_in_torch(value: float, normed: bool) -> None:
    from depth_estimation_ros.core.kernels import fused
    points, centres = values(1, 77, 4, spread=3), values(1, 15, 24, seed=1).abs()
    points[0, 5, 2] = value
    ours, expected = (form.attract(points, centres, (3, 5), (7, 11), normed=normed, mean=True)
                      for form in (fused, plain))
    assert value == -torch.inf or not expected.isfinite().all()
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize('error', [
    RuntimeError('Failed to find C compiler. Please specify via CC'),
    subprocess.CalledProcessError(1, ['gcc']), PermissionError('/root/.triton/cache')], ids=str)
def test_where_triton_cannot_build_plain_operations_serve_and_the_log_says_so(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        error: Exception) -> None:
    monkeypatch.setattr(kernels, 'fused', Mock(upsample=Mock(side_effect=error)))
    kernels.builds.cache_clear()
    assert not any(kernels.builds(torch.device('cpu')) for _ in range(3))
    warning, = caplog.records
    assert 'gcc' in warning.getMessage() and '\n' not in warning.getMessage()
    kernels.builds.cache_clear()


def test_an_error_of_the_device_is_not_taken_for_tritons(
        monkeypatch: pytest.MonkeyPatch) -> None:
    short = torch.OutOfMemoryError('CUDA out of memory')
    monkeypatch.setattr(kernels, 'fused', Mock(upsample=Mock(side_effect=short)))
    kernels.builds.cache_clear()
    with pytest.raises(torch.OutOfMemoryError):
        kernels.builds(torch.device('cpu'))
    kernels.builds.cache_clear()


def test_the_cpu_and_whatever_is_traced_take_the_plain_form() -> None:
    assert kernels.form(torch.zeros(1)) is plain


@pytest.mark.parametrize('channels', [1, 24, 100])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_a_sum_is_normalised(form: ModuleType, channels: int, dtype: torch.dtype) -> None:
    tokens, update = (values(2, 7, channels, seed=seed, spread=3).to(dtype) for seed in (0, 1))
    norm = nn.LayerNorm(channels, eps=1e-3, device=DEVICE)
    norm.weight.copy_(values(channels, seed=2))
    norm.bias.copy_(values(channels, seed=3))
    total, normed = form.add_norm(tokens, update, norm.to(dtype))
    torch.testing.assert_close(total, tokens + update, rtol=0, atol=0)
    exact = functional.layer_norm(total.double(), (channels,), norm.weight.double(),
                                  norm.bias.double(), norm.eps)
    assert normed.dtype == dtype
    assert_near(normed, exact, 1e-5 if dtype == torch.float32 else 2e-3)


CONVOLUTIONS = [{'kernel_size': 1}, {'kernel_size': 3, 'padding': 1},
                {'kernel_size': 1, 'bias': False}, {'kernel_size': 3, 'padding': 1, 'bias': False},
                {'kernel_size': 3, 'stride': 2, 'padding': 1}, {'kernel_size': 1, 'stride': 2}]


@pytest.mark.parametrize('how', CONVOLUTIONS)
@pytest.mark.parametrize('relu', [True, False])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('with_residual', [True, False])
def test_a_convolution_is_finished(form: ModuleType, how: dict[str, Any], relu: bool,
                                   layout: torch.memory_format, with_residual: bool) -> None:
    torch.manual_seed(0)
    convolution: Any = nn.Conv2d(6, 5, **how)
    convolution.to(DEVICE, memory_format=torch.channels_last)
    grid = values(2, 6, 9, 7, seed=1).contiguous(memory_format=layout)
    before, weights = grid.clone(), convolution.weight.double()
    bias = None if convolution.bias is None else convolution.bias.double()
    exact = functional.conv2d(grid.double(), weights, bias, convolution.stride,
                              convolution.padding)
    residual = values(*exact.shape, seed=2).contiguous(memory_format=layout)
    kept = residual.clone()
    ours = form.convolve(convolution, grid, residual if with_residual else None, relu=relu)
    exact = exact + residual if with_residual else exact
    assert_near(ours, exact.relu() if relu else exact)
    assert torch.equal(grid, before) and torch.equal(residual, kept)


def test_what_is_no_number_stays_none(form: ModuleType) -> None:
    convolution: Any = nn.Conv2d(3, 4, 1)
    convolution.to(DEVICE, memory_format=torch.channels_last)
    grid = values(1, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    grid[0, 0, 0, 0] = torch.nan
    assert form.convolve(convolution, grid, relu=True).isnan().any(dim=1).sum() == 1
