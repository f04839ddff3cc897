# SPDX-License-Identifier: Apache-2.0
"""Depth as it is: metres in 32 bits, or millimetres in 16 for those who need them."""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import Image

from ...core.validity import millimetres
from ..codec import encode
from ..groups import Group, parameter
from .base import Estimate, Output


@dataclass(frozen=True)
class DepthSettings(Group):
    """Which of the two forms of REP 118 is published."""

    prefix = 'depth'

    encoding: str = parameter(
        '32FC1', 'Metres with +Inf, -Inf and NaN, or 16UC1: millimetres, 0 where there is no '
        'distance or it is beyond 65.535 m', choices=('32FC1', '16UC1'))


class DepthOutput(Output):
    """The depth of every pixel."""

    topic = 'depth/image_rect'
    message = Image
    settings = DepthSettings

    def encode(self, estimate: Estimate) -> Image:
        """Return the depth under the image's header."""
        encoding = self._settings.encoding
        pixels = estimate.depth if encoding == '32FC1' else millimetres(estimate.depth)
        return encode(pixels, encoding, estimate.header)
