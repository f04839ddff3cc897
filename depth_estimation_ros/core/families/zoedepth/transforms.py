# SPDX-License-Identifier: Apache-2.0
"""From a camera's pixels to the network's input, and from the network's output to depth.

The arithmetic is that of transformers' ``ZoeDepthImageProcessor`` (rescale, reflect-pad, bilinear
resize with aligned corners, normalise; bicubic resize back, crop), done where the model lives. The
padded image is never built: its reflection is folded into the indices that the resize reads.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...device_constants import device_constant
from ...errors import CheckpointError, ImageError
from ...kernels import bicubic
from ...resample import resize_bicubic
from ..values import finite, positive, three, whole

BILINEAR = 2
"""PIL's number for bilinear resampling, the only one ZoeDepth checkpoints use."""

MAX_AREA_RATIO = 6.0
"""The largest network input, as a multiple of the checkpoint's own, that an image may ask for."""


@dataclass(frozen=True)
class Preprocessing:
    """A checkpoint's ``preprocessor_config.json``, as far as it changes pixels."""

    height: int
    width: int
    multiple: int = 32
    keep_aspect_ratio: bool = True
    led_by: str = ''
    """'height' or 'width' where only that was asked for, '' for the one that scales less."""
    pad: bool = True
    rescale_factor: float = 1 / 255
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> 'Preprocessing':
        """
        Read the settings of a ``preprocessor_config.json``.

        :param config: the parsed file.
        :raises CheckpointError: when the file asks for something ZoeDepth never does.
        :raises ValueError: where a value means nothing; LookupError or TypeError where it is of
            another form.
        """
        if not config.get('do_resize', True):
            raise CheckpointError('preprocessor_config.json sets do_resize to false: unsupported')
        if config.get('resample', BILINEAR) != BILINEAR:
            raise CheckpointError(
                f'preprocessor_config.json asks for resample {config["resample"]}; '
                f'only {BILINEAR} (bilinear) is supported')
        size = config.get('size', {'height': 384, 'width': 512})
        multiple = positive('ensure_multiple_of', config.get('ensure_multiple_of', 32))
        normalise = config.get('do_normalize', True)
        mean = config.get('image_mean', 0.5) if normalise else 0.0
        std = config.get('image_std', 0.5) if normalise else 1.0
        factor = config.get('rescale_factor', 1 / 255) if config.get('do_rescale', True) else 1.0
        return cls(
            height=whole('height of size', size['height']),
            width=whole('width of size', size['width']),
            multiple=whole('ensure_multiple_of', multiple) if multiple >= 1 else 32,
            keep_aspect_ratio=bool(config.get('keep_aspect_ratio', True)),
            pad=bool(config.get('do_pad', True)),
            rescale_factor=positive('rescale_factor', factor),
            mean=three('image_mean', mean, finite), std=three('image_std', std, positive))

    def sized(self, height: int, width: int) -> 'Preprocessing':
        """
        Return these settings for a network size of the user's.

        :param height: rows; 0 follows the width, in the image's proportion where that is kept,
            else in the checkpoint's own.
        :param width: columns; 0 follows the height likewise; both 0 keep the checkpoint's own.
        """
        if not height and not width:
            return self
        return replace(self, height=height or round(self.height * width / self.width),
                       width=width or round(self.width * height / self.height),
                       led_by=('', 'height', 'width')[bool(height) - bool(width)])

    def margin(self, side: int) -> int:
        """Return the reflected border in pixels before and after a side of ``side`` pixels."""
        return int(math.sqrt(side / 2) * 3) if self.pad else 0

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """
        Return the (height, width) at which the network sees an image of height × width pixels.

        :raises ImageError: when the image is too small to pad or too elongated to resize.
        """
        padded_height = height + 2 * self.margin(height)
        padded_width = width + 2 * self.margin(width)
        if height <= self.margin(height) or width <= self.margin(width):
            raise ImageError(f'image of {width}x{height} pixels is too small: both sides must '
                             f'be longer than their padding, 5 pixels or more')
        scale_height = self.height / padded_height
        scale_width = self.width / padded_width
        if self.keep_aspect_ratio:
            nearer = abs(1 - scale_width) < abs(1 - scale_height)
            if self.led_by == 'width' or (nearer and not self.led_by):
                scale_height = scale_width
            else:
                scale_width = scale_height
        rows, columns = self.rounded(scale_height * padded_height, scale_width * padded_width)
        limit = MAX_AREA_RATIO * self.height * self.width
        if not rows or not columns or rows * columns > limit:
            raise ImageError(f'image of {width}x{height} pixels is too elongated: the network '
                             f'would see it at {columns}x{rows}')
        return rows, columns

    def rounded(self, height: float, width: float) -> tuple[int, int]:
        """Return the nearest size whose sides are multiples of the checkpoint's."""
        return (round(height / self.multiple) * self.multiple,
                round(width / self.multiple) * self.multiple)


class Transforms:
    """A checkpoint's pre- and post-processing."""

    def __init__(self, settings: Preprocessing) -> None:
        """
        Take a checkpoint's preprocessing.

        What it does on a device is kept there for each image size (:mod:`..device_constants`).
        """
        self.settings = settings

    def to_network(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """
        Turn one image into the network's input.

        :param image: uint8 RGB, H×W×3, contiguous.
        :param size: the network's (height, width), from :meth:`Preprocessing.network_size`.
        :return: float32, 3×h×w, normalised; a view of channels-last memory.
        """
        height, width = image.shape[:2]
        corners = _corners(self.settings, image.device, height, width, size)
        values = image.view(-1, 3).index_select(0, corners.pixels).float()
        left, right = values.view(2, 2, size[0], size[1] * 3)
        top, bottom = torch.lerp(left, right, corners.across)
        mean, std = _normalisation(self.settings, image.device, size[1])
        resized = torch.lerp(top, bottom, corners.down).sub_(mean).div_(std)
        return resized.view(*size, 3).permute(2, 0, 1)

    def to_depth(self, depth: Tensor, height: int, width: int) -> Tensor:
        """
        Turn the network's output for one image into depth at the image's own size.

        :param depth: float32 metres, h×w, for the padded image.
        :param height: the image's height in pixels.
        :param width: the image's width in pixels.
        :return: float32 metres, height×width, contiguous.
        """
        top, left = self.settings.margin(height), self.settings.margin(width)
        padded = (height + 2 * top, width + 2 * left)
        if depth.device.type != 'cpu':
            return bicubic(depth, padded, (top, left), (height, width))
        resized = resize_bicubic(depth, padded)
        return resized[top:top + height, left:left + width].contiguous()


@device_constant
def _normalisation(settings: Preprocessing, device: torch.device,
                   width: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of a row's values in units of the raw pixel values."""
    mean, std = (torch.tensor(values, dtype=torch.float64) / settings.rescale_factor
                 for values in (settings.mean, settings.std))
    return mean.float().repeat(width).to(device), std.float().repeat(width).to(device)


@dataclass(frozen=True)
class _Corners:
    """
    The four pixels between which each sample of a resized image lies.

    A row is w times 3 values: a weight for each value of it costs less than one for each pixel.
    """

    pixels: Tensor
    """Of the flattened image, int32: all top left, bottom left, top right, bottom right ones."""
    across: Tensor
    """The weight of the right ones, float32, one for each of a row's values."""
    down: Tensor
    """The weight of the bottom ones, float32, h×1."""


@device_constant
def _corners(settings: Preprocessing, device: torch.device, height: int, width: int,
             size: tuple[int, int]) -> _Corners:
    rows = _reflected_taps(height, settings.margin(height), size[0])
    columns = _reflected_taps(width, settings.margin(width), size[1])
    pixels = torch.stack([row[:, None] * width + column for column in (columns.low, columns.high)
                          for row in (rows.low, rows.high)])
    return _Corners(pixels.flatten().int().to(device),
                    columns.weight.repeat_interleave(3).to(device),
                    rows.weight[:, None].to(device))


@dataclass(frozen=True)
class _Taps:
    """The two source indices (int64) and the second one's weight (float32) of each sample."""

    low: Tensor
    high: Tensor
    weight: Tensor


def _reflected_taps(source: int, margin: int, size: int) -> _Taps:
    last = source + 2 * margin - 1
    scale = torch.tensor(float(last)) / max(size - 1, 1)
    position = torch.arange(size, dtype=torch.float32) * scale
    low = position.floor().long().clamp(max=last)
    high = (low + 1).clamp(max=last)
    return _Taps(_reflect(low - margin, source), _reflect(high - margin, source), position - low)


def _reflect(index: Tensor, source: int) -> Tensor:
    return (source - 1) - ((source - 1) - index.abs()).abs()
