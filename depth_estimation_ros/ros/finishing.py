# SPDX-License-Identifier: Apache-2.0
"""What is made of a frame's maps while they are on the device: metres, steady and in a range."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic

from ..core.correction import inverse_depth
from ..core.device_errors import is_out_of_memory
from ..core.frame import Frame as View
from ..core.frame import Prediction
from ..core.maps import Map, Maps, Values, fetch, on_device, to_host
from ..core.pinhole import Pinhole
from .calibrations import CameraCalibration, Sample, UncalibratedError
from .mailbox import Frame
from .model import Source
from .shaping import Shaping
from .steadiness import Steadiness

LOGGER = logging.getLogger(__name__)

ON_HOST = 10.0
"""Seconds that the host goes on to finish depth after the device had no memory for it."""


@dataclass(frozen=True)
class Arrived:
    """What came to the host of a frame."""

    found: Prediction | None
    """What is to be published; None where there is nothing."""
    sample: Values | None
    """What is to be searched for the floor, once in a while."""
    steadied: float | None
    """The share of pixels that were steadied; None where that is off."""


@dataclass(frozen=True)
class Finished:
    """A frame's maps on their way to the host."""

    wait: Callable[[], dict[str, Values]]
    lens: Pinhole | None
    """Of the sample."""
    fault: str = ''
    """Why there is nothing to publish."""

    def arrive(self) -> Arrived:
        """Wait; raises DeviceLostError when the device answers no call any more."""
        host = self.wait()
        share = host.get('steadied')
        return Arrived(
            Prediction(host['depth'], host.get('confidence')) if 'depth' in host else None,
            host.get('sample'), None if share is None else float(share))


class Finishing:
    """Calibrates, steadies, shapes and downloads; the worker's alone."""

    def __init__(self, calibrations: Mapping[str, CameraCalibration]) -> None:
        """
        Know no frame.

        :param calibrations: of the cameras that have one, by their names.
        """
        self._calibrations = calibrations
        self._steadiness, self._steadiness_on_host = Steadiness(), Steadiness()
        self._on_host_until = -math.inf
        self._short = False
        """Whether the device had no memory for it once."""

    def lens_factor(self, camera: str, view: View) -> float | None:
        """Return what metres are multiplied by; raises UncalibratedError if that is not known."""
        calibration, (height, width) = self._calibrations.get(camera), view.image.shape[:2]
        return None if calibration is None else calibration.lens_factor(
            height, width, view.focal_length)

    def __call__(self, maps: Maps, frame: Frame, view: View, source: Source,
                 shaping: Shaping) -> Finished:
        """
        Begin to bring what is to be published of a frame to the host.

        Where the device has no memory for it the host finishes the frame.

        :param maps: of the network, still on the device.
        :param source: what they were made by.
        :raises DeviceLostError: when the device answers no call any more.
        """
        with on_device(maps.depth.device):
            if monotonic() >= self._on_host_until:
                try:
                    return self._finish(maps, frame, view, source, shaping, self._steadiness)
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                self._leave_to_host()
            return self._finish(to_host(maps), frame, view, source, shaping,
                                self._steadiness_on_host)

    def _leave_to_host(self) -> None:
        """Let the host finish depth for a while."""
        if not self._short:
            LOGGER.warning('the device has no memory left to finish depth on, so the host '
                           'does; make network.height and network.width smaller')
        self._short = True
        self._steadiness.reset()  # its frames are of no use after a while, and take memory
        self._on_host_until = monotonic() + ON_HOST

    def _finish(self, maps: Maps, frame: Frame, view: View, source: Source, shaping: Shaping,
                steadiness: Steadiness) -> Finished:
        """Finish where the maps are; the sample comes last, since one that is taken counts."""
        try:
            depth = self._metres(maps.depth, frame, view, source)
        except UncalibratedError as error:
            sample, lens = self._sample(maps.depth, frame) or (None, None)
            return Finished(fetch({'sample': sample}), lens, str(error))
        share = None
        if frame.camera.metric:
            calibration = self._calibrations.get(frame.camera.name)
            depth, share = steadiness(
                depth, frame, view.image, shaping.settings.temporal,
                source=(source, calibration and calibration.correction))
        shaped = shaping(Maps(depth, maps.confidence), metric=frame.camera.metric)
        sample, lens = self._sample(maps.depth, frame) or (None, None)
        return Finished(fetch({**shaped._asdict(), 'steadied': share, 'sample': sample}), lens)

    def look(self, sample: Values | None, lens: Pinhole | None, frame: Frame,
             source: Source) -> None:
        """Search a frame's sample for the floor, where there is one."""
        if sample is None or lens is None:
            return
        news = self._calibrations[frame.camera.name].look(sample, lens, source)
        if news:
            LOGGER.info('%s: %s', frame.camera.name or 'camera', news)

    def _sample(self, values: Map, frame: Frame) -> Sample | None:
        calibration, (height, width) = self._calibrations.get(frame.camera.name), values.shape
        return None if calibration is None else calibration.sample(values, partial(
            frame.camera.lens, frame.message.header, width, height))

    def _metres(self, values: Map, frame: Frame, view: View, source: Source) -> Map:
        """Return metres, or inverse depth where nothing gives these."""
        calibration = self._calibrations.get(frame.camera.name)
        if calibration is None:
            return inverse_depth(values, source.quantity)
        return calibration(values, source, view.focal_length)
