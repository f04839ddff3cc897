# SPDX-License-Identifier: Apache-2.0
"""How far each pixel's depth can be believed."""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import Image

from ..codec import encode
from ..groups import Group, parameter
from .base import Estimate, Output


@dataclass(frozen=True)
class ConfidenceSettings(Group):
    """What is too doubtful to be depth."""

    prefix = 'confidence'

    min: float = parameter(
        0.0, 'Depth less sure than this, 0 to 1, becomes NaN; 0 keeps all; needs '
        'flip_augmentation', low=0.0, high=1.0)


class ConfidenceOutput(Output):
    """The ratio of depth and of the mirrored image's, the smaller over the larger."""

    topic = 'depth/confidence'
    message = Image
    needs_mirrored = True
    settings = ConfidenceSettings

    def encode(self, estimate: Estimate) -> Image | None:
        """Return it under the depth's header; None without a mirrored image."""
        if estimate.confidence is None:
            return None
        return encode(estimate.confidence, '32FC1', estimate.header)
