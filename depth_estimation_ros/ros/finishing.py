# SPDX-License-Identifier: Apache-2.0
"""What is made of a frame's maps while they are on the device: metres, steady and in a range."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ..core.correction import inverse_depth
from ..core.frame import Frame as View
from ..core.frame import Prediction
from ..core.maps import Map, Maps, download
from .calibrations import CameraCalibration, Sample, UncalibratedError
from .mailbox import Frame
from .model import Source
from .shaping import Shaping
from .steadiness import Steadiness

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A frame's maps on their way to the host, and what is to be looked at beside them."""

    arrive: Callable[[], list[Prediction]] | None = None
    """Waits for them; None where there are none to publish."""
    fault: str = ''
    """Why there are none."""
    sample: Sample | None = None
    """To search for the floor."""


class Finishing:
    """Calibrates, steadies, shapes and downloads; the worker's alone."""

    def __init__(self, calibrations: Mapping[str, CameraCalibration]) -> None:
        """
        Know no frame.

        :param calibrations: of the cameras that have one, by their names.
        """
        self.calibrations = calibrations
        self._steadiness = Steadiness()

    def lens_factor(self, camera: str, view: View) -> float | None:
        """Return what metres are multiplied by; raises UncalibratedError if that is not known."""
        calibration, (height, width) = self.calibrations.get(camera), view.image.shape[:2]
        return None if calibration is None else calibration.lens_factor(
            height, width, view.focal_length)

    def __call__(self, maps: Maps, frame: Frame, view: View, source: Source,
                 shaping: Shaping) -> Finished:
        """
        Begin to bring what is to be published of a frame to the host.

        :param maps: of the network, still on the device.
        :param source: what they were made by.
        """
        sample = self._sample(maps.depth, frame)
        try:
            depth = self._metres(maps.depth, frame, view, source)
        except UncalibratedError as error:
            return Finished(fault=str(error), sample=sample)
        if frame.camera.metric:
            calibration = self.calibrations.get(frame.camera.name)
            depth = self._steadiness(
                depth, frame, view.image, shaping.settings.temporal,
                source=(source, calibration and calibration.correction))
        shaped = shaping(Maps(depth, maps.confidence), metric=frame.camera.metric)
        return Finished(download([shaped]), sample=sample)

    def look(self, sample: Sample | None, frame: Frame, source: Source) -> None:
        """Search a frame's sample for the floor, where there is one."""
        if sample is None:
            return
        news = self.calibrations[frame.camera.name].look(*sample, source.quantity)
        if news:
            LOGGER.info('%s: %s', frame.camera.name or 'camera', news)

    def _sample(self, values: Map, frame: Frame) -> Sample | None:
        calibration, (height, width) = self.calibrations.get(frame.camera.name), values.shape
        return None if calibration is None else calibration.sample(values, partial(
            frame.camera.lens, frame.message.header, width, height))

    def _metres(self, values: Map, frame: Frame, view: View, source: Source) -> Map:
        """Return metres, or inverse depth where nothing gives these."""
        calibration = self.calibrations.get(frame.camera.name)
        if calibration is None:
            return inverse_depth(values, source.quantity)
        return calibration(values, source.quantity, view.focal_length, source.lens_factor)
