# SPDX-License-Identifier: Apache-2.0
"""GLPN: a light network that gives metres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import GLPNForDepthEstimation

from ..checkpoint import Checkpoint
from ..errors import CheckpointError, ImageError
from ..weights import load_model
from .base import Family, Quantity, Size
from .preprocessing import Preprocessing
from .single_image import SingleImage
from .values import whole

SMALLEST = 32
"""Pixels of the image that become one of the coarsest map, which is upsampled to the finest's."""


@dataclass(frozen=True)
class Floored(Preprocessing):
    """Sides rounded down to a multiple, where no size is asked for."""

    def resized(self, height: int, width: int) -> Size:
        """Return the size that an image is resized to; :raises ImageError: if it is too small."""
        if self.size is not None:
            return super().resized(height, width)
        size = Size(*(side // self.multiple * self.multiple for side in (height, width)))
        if not min(size):
            raise ImageError(f'image of {width}x{height} pixels is too small: the network needs '
                             f'{self.multiple} in each direction')
        return size


def glpn(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load a checkpoint.

    :param height: rows that the network sees; 0 takes the image's, rounded down.
    :param width: columns, likewise; one alone keeps the image's proportion.
    :raises CheckpointError: when it cannot be loaded.
    :raises ValueError: when preprocessor_config.json holds what means nothing.
    """
    config: dict[str, Any] = {
        'resample': 2, 'do_normalize': False, 'size_divisor': 32, **checkpoint.preprocessor}
    if not config.get('do_resize', True):
        raise CheckpointError(f"model '{checkpoint.name}': preprocessor_config.json sets "
                              'do_resize to false, but the network needs sides of a multiple')
    divisor = whole('size_divisor', config['size_divisor'])
    if divisor % SMALLEST:
        raise ValueError(f'size_divisor is {divisor}, not a multiple of the {SMALLEST} pixels '
                         'that the network needs')
    preprocessing = Floored.from_config({  # whose size is the image's own, rounded down
        **config, 'do_resize': False, 'do_pad': False, 'ensure_multiple_of': divisor})
    model = load_model(GLPNForDepthEstimation, checkpoint)
    return SingleImage(
        model, preprocessing.resized_to(height, width, preprocessing.multiple),
        Quantity.METRES, (0.0, float(model.config.max_depth)))
