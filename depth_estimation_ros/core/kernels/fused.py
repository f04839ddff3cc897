# SPDX-License-Identifier: Apache-2.0
"""
The kernels in Triton: each reads its inputs once, in any precision, and reckons in float32.

They launch on the current stream, never wait for the host, and allocate nothing but their output
from torch's own allocator; so they can be captured in a CUDA graph after one call that compiles.
Limits are set by ``tl.where``, which keeps NaN: ``tl.minimum`` and ``tl.maximum`` drop it, and
what overflowed would come out as a distance.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import fused_passes, fused_resize
from .constants import ALPHA, EPSILON, OFFSET, Size
from .fused_resize import LAUNCH, corners, read, read_between, rows_a_tile, scales

add_upsampled, bicubic, upsample = (
    fused_resize.add_upsampled, fused_resize.bicubic, fused_resize.upsample)
add_norm, convolve = fused_passes.add_norm, fused_passes.convolve


@triton.jit
def _softplus(x):
    """Return log(1 + exp(x)), to full precision where exp(x) is tiny."""
    small = tl.exp(tl.where(x > 20.0, 20.0, x))
    one_more = 1.0 + small
    excess = one_more - 1.0
    return tl.where(x > 20.0, x, tl.where(
        excess == 0.0, small, tl.log(one_more) * small / tl.where(excess == 0.0, 1.0, excess)))


@triton.jit
def _attract_kernel(
        points, points_image, points_row, points_column,
        centres, centres_image, centres_row, centres_column,
        output, pixels, width, coarse_height, coarse_width, scale_y, scale_x, strength,
        ALPHA: tl.constexpr, OFFSET: tl.constexpr, ATTRACTORS: tl.constexpr, NORMED: tl.constexpr,
        BINS: tl.constexpr, TILE: tl.constexpr, TILE_BINS: tl.constexpr):
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    bin = tl.arange(0, TILE_BINS)
    inside = pixel < pixels
    mask = inside[:, None] & (bin < BINS)[None, :]
    a, b, c, d, down, across = corners(
        pixel, width, coarse_height, coarse_width, scale_y, scale_x)
    centre = read_between(centres + image * centres_image, a, b, c, d, down, across, centres_row,
                        bin, centres_column, mask)
    pull = tl.zeros([TILE, TILE_BINS], tl.float32)
    here = points + image * points_image + pixel * points_row
    for attractor in range(ATTRACTORS):
        point = tl.load(here + attractor * points_column, mask=inside, other=0.0).to(tl.float32)
        point = tl.where(point < 0.0, 0.0, point) + OFFSET if NORMED else _softplus(point)
        gap = point[:, None] - centre
        pull += gap / (1.0 + ALPHA * gap * gap)
    place = image * pixels * BINS + pixel[:, None] * BINS + bin[None, :]
    tl.store(output + place, centre + strength * pull, mask=mask)


@triton.jit
def _output(hidden, weight, weight_column, bias, channel, mask):
    """Return one output of a linear layer followed by a softplus, for each pixel."""
    weights = tl.load(weight + channel * weight_column, mask=mask, other=0.0)
    before = tl.sum(hidden * weights[None, :], axis=1) + tl.load(bias)
    return _softplus(before + (before - before))  # what overflowed is no number, as GELU has it


@triton.jit
def _log_within(share, least):
    """Return the logarithm of a share, which rounding may have put outside least to 1."""
    return tl.log(tl.where(share < least, least, tl.where(share > 1.0, 1.0, share)))


@triton.jit
def _expected_depth_kernel(
        features, features_image, features_row, features_column,
        condition, condition_image, condition_row, condition_column,
        weight, weight_image, weight_channel, weight_output, bias, bias_image, bias_output,
        centres, centres_image, centres_row, centres_column, binomial, binomial_row,
        output, pixels, width, coarse_height, coarse_width, scale_y, scale_x, low, high,
        EPSILON: tl.constexpr, CHANNELS: tl.constexpr, BINS: tl.constexpr, TILE: tl.constexpr,
        TILE_CHANNELS: tl.constexpr, TILE_BINS: tl.constexpr):
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside = pixel < pixels
    a, b, c, d, down, across = corners(
        pixel, width, coarse_height, coarse_width, scale_y, scale_x)

    channel = tl.arange(0, TILE_CHANNELS)
    mask = inside[:, None] & (channel < CHANNELS)[None, :]
    hidden = read(features + image * features_image, pixel, features_row, channel,
                  features_column, mask)
    hidden += read_between(condition + image * condition_image, a, b, c, d, down, across,
                         condition_row, channel, condition_column, mask)
    hidden = 0.5 * hidden * (1.0 + tl.erf(hidden * 0.7071067811865476))
    here, there = weight + image * weight_image, bias + image * bias_image
    known = channel < CHANNELS
    first = EPSILON + _output(hidden, here, weight_channel, there, channel, known)
    second = EPSILON + _output(hidden, here + weight_output, weight_channel, there + bias_output,
                               channel, known)
    third = EPSILON + _output(hidden, here + 2 * weight_output, weight_channel,
                              there + 2 * bias_output, channel, known)
    fourth = EPSILON + _output(hidden, here + 3 * weight_output, weight_channel,
                               there + 3 * bias_output, channel, known)
    probability, mixture = first / (first + second), third / (third + fourth)
    temperature = (high - low) * mixture + low

    bin = tl.arange(0, TILE_BINS)
    known = bin < BINS
    coefficient = tl.load(binomial + bin, mask=known, other=0.0)
    order = tl.load(binomial + binomial_row + bin, mask=known, other=0.0)
    remaining = tl.load(binomial + 2 * binomial_row + bin, mask=known, other=0.0)
    yes, no = _log_within(probability, EPSILON), _log_within(1.0 - probability, EPSILON)
    score = (coefficient[None, :] + order[None, :] * yes[:, None]
             + remaining[None, :] * no[:, None]) / temperature[:, None]
    score = tl.where(known[None, :], score, -float('inf'))
    share = tl.exp(score - tl.max(score, axis=1)[:, None])
    centre = read_between(centres + image * centres_image, a, b, c, d, down, across, centres_row,
                        bin, centres_column, inside[:, None] & known[None, :])
    depth = tl.sum(share * centre, axis=1) / tl.sum(share, axis=1)
    tl.store(output + image * pixels + pixel, depth, mask=inside)


def attract(points: Tensor, centres: Tensor, before: Size, size: Size, *, normed: bool,
            mean: bool) -> Tensor:
    """See :func:`..attract`."""
    images, _, bins = centres.shape
    pixels, attractors = points.shape[1:]
    output = torch.empty((images, pixels, bins), dtype=torch.float32, device=centres.device)
    tile_bins = triton.next_power_of_2(bins)
    tile = rows_a_tile(tile_bins)
    _attract_kernel[triton.cdiv(pixels, tile), images](
        points, *points.stride(), centres, *centres.stride(), output, pixels, size[1], *before,
        *scales(before, size), 1 / attractors if mean else 1.0, ALPHA=ALPHA, OFFSET=OFFSET,
        ATTRACTORS=attractors, NORMED=normed, BINS=bins, TILE=tile, TILE_BINS=tile_bins,
        **LAUNCH)
    return output


def expected_depth(features: Tensor, condition: Tensor, weight: Tensor, bias: Tensor,
                   centres: Tensor, before: Size, size: Size, *, binomial: Tensor,
                   temperatures: tuple[float, float]) -> Tensor:
    """See :func:`..expected_depth`."""
    images, pixels, channels = features.shape
    bins = centres.shape[-1]
    output = torch.empty((images, pixels), dtype=torch.float32, device=centres.device)
    tile_channels, tile_bins = map(triton.next_power_of_2, (channels, bins))
    tile = rows_a_tile(max(tile_channels, tile_bins))
    _expected_depth_kernel[triton.cdiv(pixels, tile), images](
        features, *features.stride(), condition, *condition.stride(), weight, *weight.stride(),
        bias, bias.stride(0), bias.stride(2), centres, *centres.stride(), binomial,
        binomial.stride(0), output, pixels, size[1], *before, *scales(before, size),
        *temperatures, EPSILON=EPSILON, CHANNELS=channels, BINS=bins, TILE=tile,
        TILE_CHANNELS=tile_channels, TILE_BINS=tile_bins, **LAUNCH)
    return output
