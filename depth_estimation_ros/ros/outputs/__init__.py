# SPDX-License-Identifier: Apache-2.0
"""What is published of a frame, an output a file; each is made only where it is subscribed to."""

from __future__ import annotations

from collections.abc import Iterable

from ..groups import Group
from .base import Estimate, Limits, Output
from .camera_info import CameraInfoOutput
from .compressed_depth import CompressedDepthOutput
from .confidence import ConfidenceOutput
from .depth import DepthOutput
from .points import PointsOutput
from .preview import PreviewOutput
from .relative import RelativeOutput
from .scan import ScanOutput

__all__ = ['OUTPUTS', 'Estimate', 'Limits', 'Output', 'prepare']

OUTPUTS: tuple[type[Output], ...] = (
    DepthOutput,
    CompressedDepthOutput,
    CameraInfoOutput,
    PreviewOutput,
    PointsOutput,
    ScanOutput,
    ConfidenceOutput,
    RelativeOutput,
)
"""Every output, in the order in which they are published."""


def prepare(settings: Iterable[Group], limits: Limits) -> tuple[Output, ...]:
    """
    Make every output ready to encode.

    :param settings: the group of each, in the order of :data:`OUTPUTS`.
    """
    return tuple(kind(group, limits) for kind, group in zip(OUTPUTS, settings, strict=True))
