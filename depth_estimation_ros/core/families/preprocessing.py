# SPDX-License-Identifier: Apache-2.0
"""``preprocessor_config.json`` as DPT's image processor and its kin read it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..device_constants import device_constant
from ..errors import ImageError
from ..resample import resize_depth, resize_like_pil
from .base import Size
from .values import finite, positive, three, whole

KERNELS = {2: 'bilinear', 3: 'bicubic'}
"""PIL's numbers of the resampling kernels."""

HALF = (0.5, 0.5, 0.5)
"""The mean and the standard deviation of DPT's processor and its kin, where none are given."""

MAX_AREA_RATIO = 6.0
"""The largest network input, as a multiple of the checkpoint's own, that an image may ask for."""


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become the network's input: resize, rescale, normalise, pad."""

    size: Size | None
    """What the image is resized to, a side of 0 by the image's proportion; None: not at all."""
    kernel: str = 'bicubic'
    keep_aspect_ratio: bool = False
    multiple: int = 1
    """What the sides of the resized image are multiples of."""
    divisor: int = 1
    """What the sides are padded to a multiple of, with zeros, evenly on both sides."""
    factor: float = 1 / 255
    """What each grey level is multiplied by."""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Preprocessing:
        """
        Read the settings of ``DPTImageProcessor``.

        :param config: the parsed preprocessor_config.json.
        :raises ValueError: when it asks for what this does not do, or a value means nothing.
        :raises LookupError: where a value is of another form; or TypeError.
        """
        resample = config.get('resample', 3)
        if resample not in KERNELS:
            raise ValueError(f'resample is {resample!r}, of which only '
                             f'{" and ".join(map(str, KERNELS))} are supported')
        size = config.get('size', {'height': 384, 'width': 384})
        size = size if isinstance(size, dict) else {'height': size, 'width': size}
        normalise = config.get('do_normalize', True)
        return cls(
            size=Size(*(whole(f'{side} of size', size[side]) for side in ('height', 'width'))
                      ) if config.get('do_resize', True) else None,
            kernel=KERNELS[resample],
            keep_aspect_ratio=bool(config.get('keep_aspect_ratio', False)),
            multiple=whole('ensure_multiple_of', config.get('ensure_multiple_of', 1)),
            divisor=whole('size_divisor', config.get('size_divisor') or 1) if config.get(
                'do_pad') else 1,
            factor=positive('rescale_factor', config.get('rescale_factor', 1 / 255)
                            ) if config.get('do_rescale', True) else 1.0,
            mean=three('image_mean', config.get('image_mean', HALF), finite
                       ) if normalise else (0.0,) * 3,
            std=three('image_std', config.get('image_std', HALF), positive
                      ) if normalise else (1.0,) * 3)

    def resized_to(self, height: int, width: int, multiple: int) -> Preprocessing:
        """
        Return the settings for a network size that a user asks for.

        :param height: rows; 0 leaves them to the checkpoint, or where that has no size of its own
            to the image's proportion.
        :param width: columns, likewise.
        :param multiple: what the network needs the sides to be multiples of.
        :raises ValueError: when the checkpoint's own size is below that.
        """
        if not height and not width:
            self.check_size(multiple)
            return self
        own = self.size or Size(0, 0)
        return replace(self, size=Size(height or own.height, width or own.width),
                       multiple=max(self.multiple, multiple))

    def check_size(self, needed: int) -> None:
        """Raise ValueError when the checkpoint's own size has a side of fewer pixels."""
        if self.size is not None and min(self.size) < needed:
            raise ValueError(f'size is {self.size}: the network needs {needed} pixels in each '
                             'direction')

    def resized(self, height: int, width: int) -> Size:
        """
        Return the size that an image is resized to.

        :raises ImageError: when it is too small or too elongated.
        """
        if self.size is None:
            return Size(height, width)
        scale_height = (self.size.height or self.size.width * height / width) / height
        scale_width = (self.size.width or self.size.height * width / height) / width
        if self.keep_aspect_ratio:
            if abs(1 - scale_width) < abs(1 - scale_height):
                scale_height = scale_width
            else:
                scale_width = scale_height
        size = Size(self._rounded(scale_height * height), self._rounded(scale_width * width))
        limit = MAX_AREA_RATIO * (self.size.height or self.size.width) * (
            self.size.width or self.size.height)
        if not min(size) or size.height * size.width > limit:
            raise ImageError(f'image of {width}x{height} pixels is too elongated: the network '
                             f'would see it at {size}')
        return size

    def padded(self, size: Size) -> Size:
        """Return the size of an image that was resized to ``size`` after padding."""
        return Size(*(math.ceil(side / self.divisor) * self.divisor for side in size))

    def pixels(self, image: Tensor) -> Tensor:
        """
        Turn an image into the network's input.

        :param image: uint8 RGB, H×W×3.
        :return: float32, 3×height×width.
        """
        size = self.resized(*image.shape[:2])
        planes = resize_like_pil(image.permute(2, 0, 1), size, self.kernel)
        return functional.pad(self.normalised(planes), self._border(size))

    def normalised(self, planes: Tensor) -> Tensor:
        """
        Rescale and normalise.

        :param planes: uint8, 3×H×W.
        :return: float32, 3×H×W.
        """
        mean, factor = _normalisation(self, planes.device)
        return planes.contiguous().float().sub_(mean).mul_(factor)

    def depth(self, values: Tensor, height: int, width: int) -> Tensor:
        """
        Bring the network's output for one image to the image's size, without the padding.

        :param values: float32, h×w, for the padded image.
        :return: float32, height×width.
        """
        size = self.resized(height, width)
        left, right, top, bottom = self._border(size)
        if not any((left, right, top, bottom)):
            return resize_depth(values, (height, width))
        padded = self.padded(size)
        whole = resize_depth(values, padded)[top:padded.height - bottom, left:padded.width - right]
        return whole if size == (height, width) else resize_depth(whole, (height, width))

    def _border(self, size: Size) -> tuple[int, int, int, int]:
        """Return the padding at left, right, top and bottom."""
        padded = self.padded(size)
        rows, columns = padded.height - size.height, padded.width - size.width
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2

    def _rounded(self, side: float) -> int:
        return round(side / self.multiple) * self.multiple


@device_constant
def _normalisation(settings: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the mean in grey levels and what is multiplied by then, each float32, 3×1×1."""
    mean = torch.tensor([each / settings.factor for each in settings.mean])
    factor = torch.tensor([settings.factor / each for each in settings.std])
    return mean.view(3, 1, 1).to(device), factor.view(3, 1, 1).to(device)


@dataclass(frozen=True)
class Letterboxed(Preprocessing):
    """Images fitted into the network's one size in proportion, with borders around."""

    colour: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Of the borders, RGB from 0 to 255."""

    def resized(self, height: int, width: int) -> Size:
        """Return the size within the borders; :raises ImageError: if nothing is left of it."""
        assert self.size is not None
        scale = min(self.size.height / height, self.size.width / width)
        size = Size(int(height * scale), int(width * scale))
        if not min(size):
            raise ImageError(f'image of {width}x{height} pixels is too elongated: the network '
                             f'would see it at {size}')
        return size

    def padded(self, size: Size) -> Size:
        """Return the network's size."""
        assert self.size is not None
        return self.size

    def pixels(self, image: Tensor) -> Tensor:
        """Turn an image, uint8 RGB, H×W×3, into the network's input, float32, 3×height×width."""
        size = self.resized(*image.shape[:2])
        planes = resize_like_pil(image.permute(2, 0, 1), size, self.kernel)
        colour = torch.tensor(self.colour, device=image.device).view(3, 1, 1)
        return torch.stack([
            functional.pad(plane, self._border(size), value=float(border))
            for plane, border in zip(self.normalised(planes), self.normalised(colour).cpu(),
                                     strict=True)])
