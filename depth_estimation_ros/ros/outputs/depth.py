# SPDX-License-Identifier: Apache-2.0
"""Depth as it is: metres in 32 bits."""

from sensor_msgs.msg import Image

from ..codec import encode
from .base import Estimate, Output


class DepthOutput(Output):
    """The depth of every pixel."""

    topic = 'depth/image_rect'
    message = Image

    def encode(self, estimate: Estimate) -> Image:
        """Return the depth under the image's header."""
        return encode(estimate.depth, '32FC1', estimate.header)
