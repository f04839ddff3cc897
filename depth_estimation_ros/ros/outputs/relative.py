# SPDX-License-Identifier: Apache-2.0
"""Depth without a scale, under a name of its own so that nobody takes it for metres."""

from sensor_msgs.msg import Image

from ..codec import encode
from .base import Estimate, Output


class RelativeOutput(Output):
    """Inverse depth up to an unknown scale and shift: larger is nearer."""

    topic = 'depth/relative'
    message = Image
    takes_metres, takes_relative = False, True

    def encode(self, estimate: Estimate) -> Image:
        """Return the inverse depth under the image's header."""
        return encode(estimate.depth, '32FC1', estimate.header)
