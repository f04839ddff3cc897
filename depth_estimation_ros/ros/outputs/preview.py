# SPDX-License-Identifier: Apache-2.0
"""Depth in colours, for a person's eyes."""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import Image

from ...core.colour import COLORMAPS, Colouriser
from ..codec import encode
from ..groups import Group, parameter
from .base import Estimate, Limits, Output


@dataclass(frozen=True)
class PreviewSettings(Group):
    """The colours and the range that they cover."""

    prefix = 'preview'

    colormap: str = parameter('turbo', 'Colours of depth/preview', choices=COLORMAPS)
    near: float = parameter(0.0, 'Metres of the first colour', low=0.0, high=1000.0)
    far: float = parameter(10.0, 'Metres of the last colour', low=0.0, high=1000.0)

    def check(self) -> None:
        """Refuse a range without depth in it."""
        if self.far <= self.near:
            raise ValueError(f'preview.far ({self.far} m) must lie beyond preview.near '
                             f'({self.near} m)')


class PreviewOutput(Output):
    """Colours over a fixed range; without metres over what most of the image lies in."""

    topic = 'depth/preview'
    message = Image
    settings = PreviewSettings
    takes_relative = True

    def __init__(self, settings: PreviewSettings, limits: Limits) -> None:
        """Make the table of colours."""
        super().__init__(settings, limits)
        self._colourise = Colouriser(settings.colormap, settings.near, settings.far)

    def encode(self, estimate: Estimate) -> Image:
        """Return the colours under the image's header."""
        colourise = self._colourise if estimate.metric else self._colourise.stretched
        return encode(colourise(estimate.depth), 'bgr8', estimate.header)
