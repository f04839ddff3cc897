"""From a camera's pixels to the network's input, and from the network's output to depth.

The arithmetic is that of transformers' ``ZoeDepthImageProcessor`` (rescale, reflect-pad, bilinear
resize with aligned corners, normalise; bicubic resize back, crop), done where the model lives. The
padded image is never built: its reflection is folded into the indices that the resize reads.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.nn import functional

from .device_constants import device_constant
from .errors import CheckpointError, ImageError

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
        """
        if not config.get('do_resize', True):
            raise CheckpointError('preprocessor_config.json sets do_resize to false: unsupported')
        if config.get('resample', BILINEAR) != BILINEAR:
            raise CheckpointError(
                f'preprocessor_config.json asks for resample {config["resample"]}; '
                f'only {BILINEAR} (bilinear) is supported')
        size = config.get('size', {'height': 384, 'width': 512})
        multiple = config.get('ensure_multiple_of', 32)
        normalise = config.get('do_normalize', True)
        mean = config.get('image_mean', (0.5, 0.5, 0.5)) if normalise else (0.0, 0.0, 0.0)
        std = config.get('image_std', (0.5, 0.5, 0.5)) if normalise else (1.0, 1.0, 1.0)
        rescale_factor = config.get('rescale_factor', 1 / 255)
        return cls(
            height=int(size['height']), width=int(size['width']),
            multiple=int(multiple) if multiple >= 1 else 32,
            keep_aspect_ratio=bool(config.get('keep_aspect_ratio', True)),
            pad=bool(config.get('do_pad', True)),
            rescale_factor=float(rescale_factor) if config.get('do_rescale', True) else 1.0,
            mean=(float(mean[0]), float(mean[1]), float(mean[2])),
            std=(float(std[0]), float(std[1]), float(std[2])))

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
            if abs(1 - scale_width) < abs(1 - scale_height):
                scale_height = scale_width
            else:
                scale_width = scale_height
        rows = self._round(scale_height * padded_height)
        columns = self._round(scale_width * padded_width)
        limit = MAX_AREA_RATIO * self.height * self.width
        if not rows or not columns or rows * columns > limit:
            raise ImageError(f'image of {width}x{height} pixels is too elongated: the network '
                             f'would see it at {columns}x{rows}')
        return rows, columns

    def _round(self, side: float) -> int:
        return round(side / self.multiple) * self.multiple


@dataclass(frozen=True)
class _Taps:
    """The two source indices (int64) and the second one's weight (float32) of each sample."""

    low: Tensor
    high: Tensor
    weight: Tensor


@dataclass(frozen=True)
class _Corners:
    """The four pixels (int32, of the flattened image) between which each sample lies."""

    above: tuple[Tensor, Tensor]
    below: tuple[Tensor, Tensor]
    across: Tensor
    """The weight of the right ones, float32, w×1."""
    down: Tensor
    """The weight of those below, float32, h×1×1."""


@device_constant
def _corners(height: int, width: int, size: tuple[int, int], settings: Preprocessing,
             device: torch.device) -> _Corners:
    rows = _reflected_taps(height, settings.margin(height), size[0])
    columns = _reflected_taps(width, settings.margin(width), size[1])

    def pixels(row: Tensor, column: Tensor) -> Tensor:
        return (row[:, None] * width + column).flatten().int().to(device)

    return _Corners(
        (pixels(rows.low, columns.low), pixels(rows.low, columns.high)),
        (pixels(rows.high, columns.low), pixels(rows.high, columns.high)),
        columns.weight[:, None].to(device), rows.weight[:, None, None].to(device))


def _reflected_taps(source: int, margin: int, size: int) -> _Taps:
    last = source + 2 * margin - 1
    scale = torch.tensor(float(last)) / max(size - 1, 1)
    position = torch.arange(size, dtype=torch.float32) * scale
    low = position.floor().long().clamp(max=last)
    high = (low + 1).clamp(max=last)
    return _Taps(_reflect(low - margin, source), _reflect(high - margin, source), position - low)


def _reflect(index: Tensor, source: int) -> Tensor:
    return (source - 1) - ((source - 1) - index.abs()).abs()


def to_network(image: Tensor, size: tuple[int, int], settings: Preprocessing) -> Tensor:
    """
    Turn one image into the network's input.

    :param image: uint8 RGB, H×W×3, contiguous, on the model's device.
    :param size: the network's (height, width), from :meth:`Preprocessing.network_size`.
    :param settings: the checkpoint's preprocessing.
    :return: float32, 3×h×w, normalised; a view of channels-last memory.
    """
    height, width = image.shape[:2]
    corners = _corners(height, width, size, settings, image.device)
    (above, beside), (below, beyond) = (
        [image.view(-1, 3).index_select(0, corner).float().view(*size, 3) for corner in pair]
        for pair in (corners.above, corners.below))
    top = torch.lerp(above, beside, corners.across)
    bottom = torch.lerp(below, beyond, corners.across)
    mean, std = _normalisation(settings, image.device)
    return torch.lerp(top, bottom, corners.down).sub_(mean).div_(std).permute(2, 0, 1)


@device_constant
def _normalisation(settings: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation in units of the raw pixel values."""
    factor = settings.rescale_factor
    mean = torch.tensor(settings.mean, dtype=torch.float64) / factor
    std = torch.tensor(settings.std, dtype=torch.float64) / factor
    return mean.float().to(device), std.float().to(device)


def to_depth(depth: Tensor, height: int, width: int, settings: Preprocessing) -> Tensor:
    """
    Turn the network's output for one image into depth at the image's own size.

    On the CPU OpenCV resizes: its bicubic kernel is torch's, it is nearer to the exact result, and
    takes a tenth of the time.

    :param depth: float32 metres, h×w, for the padded image.
    :param height: the image's height in pixels.
    :param width: the image's width in pixels.
    :param settings: the checkpoint's preprocessing.
    :return: float32 metres, height×width, contiguous.
    """
    top, left = settings.margin(height), settings.margin(width)
    size = (height + 2 * top, width + 2 * left)
    if depth.device.type == 'cpu':
        padded = torch.from_numpy(
            cv2.resize(depth.numpy(), size[::-1], interpolation=cv2.INTER_CUBIC))
    else:
        padded = functional.interpolate(depth[None, None], size, mode='bicubic')[0, 0]
    return padded[top:top + height, left:left + width].contiguous()
