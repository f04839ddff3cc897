# SPDX-License-Identifier: Apache-2.0
"""What the settings make of depth on its way out."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.confidence import without_low_confidence
from ..core.maps import Maps
from ..core.shaping.edges import mask_edges
from ..core.shaping.reduce import Reduction, reduce_depth
from ..core.validity import mark_range
from .outputs import Limits, Output
from .outputs.confidence import ConfidenceSettings
from .settings import Settings


@dataclass(frozen=True)
class Shaping:
    """The settings of one moment, and the outputs made ready by them."""

    settings: Settings
    limits: Limits
    outputs: tuple[Output, ...]

    def __call__(self, found: Maps, *, metric: bool) -> Maps:
        """
        Shape the maps of a frame, on their device; may change its argument.

        What is doubtful and edges become unknown, what lies outside the range is marked, all is
        made smaller. Inverse depth without a scale has neither edges nor a range in metres.
        """
        edges, size = self.settings.edges, self.settings.depth
        depth, confidence = found
        least = self.settings.output(ConfidenceSettings).min
        if least and confidence is not None:
            depth = without_low_confidence(depth, confidence, least)
        if metric:
            if edges.jump:
                depth = mask_edges(depth, edges.jump, edges.width)
            depth = mark_range(depth, self.limits.near, self.limits.far)
        rows, columns = depth.shape
        cells = Reduction.to_size((rows, columns), *size.of(rows, columns))
        return Maps(
            reduce_depth(depth, cells, size.pick if metric else 'nearest'),
            None if confidence is None else reduce_depth(confidence, cells, 'nearest'))

    def silent_because(self, output: Output) -> str:
        """Say why an output gives nothing with these settings, or ''."""
        if output.needs_mirrored and not self.settings.serving.flip_augmentation:
            return (f'{output.topic} is subscribed to, but flip_augmentation is off, and it is by '
                    'the mirrored image: turn it on, at twice the time in the network')
        return output.silent_because
