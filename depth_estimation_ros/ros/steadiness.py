# SPDX-License-Identifier: Apache-2.0
"""Each camera's temporal filter."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from ..core.frame import Image
from ..core.maps import Map
from ..core.shaping.temporal import Moment, TemporalFilter
from .groups import Group, parameter
from .mailbox import Frame


@dataclass(frozen=True)
class TemporalSettings(Group):
    """How depth is steadied over the frames."""

    prefix = 'temporal'

    memory: int = parameter(
        0, 'Frames that the depth of a pixel is the mean of at most, while its view stays the '
        'same; 16 is a second at 15 Hz, 0 is off', low=0, high=256)
    gate: float = parameter(
        0.1, 'Relative change of depth from which a pixel takes the new depth at once',
        low=0.001, high=1.0)
    odom_frame: str = parameter(
        '', 'A frame that does not move, such as odom, in which transforms tell where the camera '
        "is at each image's stamp; empty: depth is steadied only while the camera stands",
        live=False)


class Steadiness:
    """The filters of all cameras; the worker's alone."""

    def __init__(self) -> None:
        """Know no camera."""
        self._filters: dict[Any, TemporalFilter] = {}

    def reset(self) -> None:
        """Forget all frames."""
        for camera in self._filters:
            camera.steadied = None
        self._filters.clear()

    def __call__(self, depth: Map, frame: Frame, image: Image, settings: TemporalSettings, *,
                 source: Hashable) -> tuple[Map, Map | None]:
        """
        Return the steady depth of a camera's next frame, and the share that was steadied.

        Where that is off the depth is as it is, and there is no share.

        :param depth: metres, H×W, of the whole image, before a range is marked.
        :param image: that it was made of.
        :param source: what made it: a model, a calibration; another one's depth is another.
        """
        if not settings.memory:
            if self._filters:
                self.reset()
            return depth, None
        camera, header = frame.camera, frame.message.header
        height, width = depth.shape
        moment = Moment(frame.stamp or frame.received, image, camera.lens(header, width, height),
                        camera.pose(header), source)
        steady = self._filters.setdefault(camera, TemporalFilter())
        return steady(depth, moment, settings.memory, settings.gate), steady.steadied
