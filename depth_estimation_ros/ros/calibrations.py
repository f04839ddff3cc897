# SPDX-License-Identifier: Apache-2.0
"""Each camera's calibration on its way to metres: from a file, the floor or the focal length."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from ..calibration_file import CalibrationError, CalibrationFile, CameraKey
from ..core.correction import Correction
from ..core.families.base import Quantity, Size
from ..core.focal import FocalCorrection, ReferenceCamera
from ..core.live_floor import LiveFloor, thinned
from ..core.maps import Map
from ..core.pinhole import Pinhole
from .groups import Group, parameter
from .model import Source

LOGGER = logging.getLogger(__name__)

Sample = tuple[Map, Pinhole]
"""Some of a map's pixels, and the camera of those."""

PERIOD = 1.0
"""Seconds between the images of a camera that are searched for a floor."""


@dataclass(frozen=True)
class CalibrationSettings(Group):
    """What makes metres, or better metres, of the model's depth."""

    prefix = 'calibration'

    file: tuple[str, ...] = parameter(
        ('',), "A calibration.yaml for all cameras or one each, '' for none; one of another "
        'model, image size, focal length or size of the network is refused', live=False)
    mode: str = parameter(
        'off', 'floor: collect the scale from the floor, freeze it, then only warn; with a file '
        'only warn', live=False, choices=('off', 'floor'))
    camera_height: tuple[float, ...] = parameter(
        (0.0,), 'Metres from the floor to the lens, one for all cameras or one each; mode floor '
        'needs it', live=False)
    pitch: tuple[float, ...] = parameter(
        (0.0,), 'Radians by which the camera looks above the horizontal, one for all cameras or '
        'one each; negative looks down', live=False)
    pitch_tolerance: float = parameter(
        0.0, 'Radians by which pitch may be wrong at the very most, three standard deviations; 0: '
        'it is not known, so a ramp is not told from a floor, and a model without metres cannot '
        'be calibrated by it', live=False, low=0.0, high=0.5)
    reference_focal: tuple[float, ...] = parameter(
        (0.0,), 'fx, width and height in pixels of the camera that the model was trained on, such '
        "as 518.86, 640, 480: its metres are then brought to this camera's focal length; 0 is "
        'off; not with calibration.file or mode floor', live=False)

    def check(self) -> None:
        """Refuse mode floor without what it needs, and a focal length that counts twice."""
        if self.mode == 'floor' and not all(0.05 <= each <= 20 for each in self.camera_height):
            raise ValueError('calibration.mode floor needs calibration.camera_height, 0.05 to '
                             f'20 m, not {list(self.camera_height)}')
        if not all(abs(each) < math.pi / 2 for each in self.pitch):
            raise ValueError(f'calibration.pitch is in radians, not {list(self.pitch)}')
        if self.reference_focal == (0.0,):
            return
        if len(self.reference_focal) != 3 or not all(1 <= each < 1e5
                                                     for each in self.reference_focal):
            raise ValueError('calibration.reference_focal must be fx, width and height in pixels, '
                             f'or 0, not {list(self.reference_focal)}')
        if any(self.file) or self.mode != 'off':
            raise ValueError('calibration.reference_focal is for a lens of which nothing else is '
                             'known: leave it out beside calibration.file and mode floor, whose '
                             'scale has the focal length in it')

    @property
    def is_on(self) -> bool:
        """Whether depth is calibrated at all."""
        return self.mode != 'off' or any(self.file) or self.reference_camera is not None

    @property
    def reference_camera(self) -> ReferenceCamera | None:
        """The camera that the model was trained on, where its focal length is to be applied."""
        if self.reference_focal == (0.0,):
            return None
        focal, width, height = self.reference_focal
        return ReferenceCamera(focal, round(width), round(height))


class UncalibratedError(Exception):
    """Depth that must not be published as metres; the text says why."""


class CameraCalibration:
    """One camera's: applied and fed by the worker, asked by diagnostics."""

    def __init__(self, file: CalibrationFile | None, floor: LiveFloor | None,
                 focal: FocalCorrection | None = None) -> None:
        """Begin with a file, a floor to collect or to watch, or both; or the lens alone."""
        self._file, self.floor, self._focal = file, floor, focal
        self._factor: float | None = None
        """What the focal length made of the last metres."""
        self._lock = Lock()
        self._looked = -math.inf
        self._model = 0
        """How many models served before the one whose scale this is."""
        self._seen: tuple[tuple[int, int], str] | None = None
        """The size at which that sees images, and its domain."""

    def __call__(self, depth: Map, source: Source, focal: float | None) -> Map:
        """
        Return metres of a model's map, on its device.

        :param source: what the map was made by.
        :param focal: fx in pixels of the map; None where it is not known.
        :raises UncalibratedError: when it cannot be told what metres they are.
        """
        if source.lens_factor is not None:
            return depth * source.lens_factor
        self._follow(source)
        quantity, correction = source.quantity, self.correction
        if self._file is not None:
            _check(self._file, depth, focal, source)
        if correction is None:
            if quantity is Quantity.METRES:
                return depth
            raise UncalibratedError(f'the model gives {quantity.value}, and the floor has not '
                                    f'told its scale yet: {self.state}')
        if correction.quantity is not quantity:
            raise UncalibratedError(f"the calibration's kind is '{correction.kind}', but the "
                                    f'model gives {quantity.value}')
        return correction.metres(depth)

    def _follow(self, source: Source) -> None:
        """Collect the floor's scale anew where the model sees otherwise, and so gives another."""
        if self.floor is None or self._file is not None or source.model < self._model:
            return
        before, self._seen = self._seen, (source.network, source.domain)
        self._model = source.model
        if before not in (None, self._seen):
            with self._lock:
                self.floor = LiveFloor(self.floor.options, self.floor.camera_height)
            LOGGER.warning('the network sees %s%s now, which has another scale: the scale by the '
                           'floor is collected anew', Size(*source.network),
                           f' by domain {source.domain}' if source.domain else '')

    def lens_factor(self, height: int, width: int, focal: float | None) -> float | None:
        """
        Return what the metres of the model that serves now are to be multiplied by.

        :param height: of the image in pixels; width alike.
        :param focal: fx in pixels of the image; None where it is not known.
        :return: None where the focal length is not applied.
        :raises UncalibratedError: when the focal length or its meaning to the model is not known.
        """
        if self._focal is None:
            return None
        if focal is None:
            raise UncalibratedError('calibration.reference_focal needs a calibrated camera_info, '
                                    "and none has come: remap it to the camera's, or calibrate "
                                    'the camera')
        try:
            self._factor = self._focal.factor(height, width, focal)
        except ValueError as error:
            raise UncalibratedError(str(error)) from error
        return self._factor

    def check_domain(self, domain: str) -> None:
        """Raise ValueError where the file is of another metric head than the parameter names."""
        if self._file is not None:
            self._file.check(self._file.model, None, domain)

    def sample(self, depth: Map, lens: Callable[[], Pinhole | None]) -> Sample | None:
        """Return a copy of what to search for a floor, once in a while; else None, at no cost."""
        if self.floor is None or monotonic() - self._looked < PERIOD:
            return None
        self._looked = monotonic()
        seen = lens()
        if seen is None:
            return None
        values, camera = thinned(depth, seen)
        return values.clone(), camera

    def look(self, values: NDArray[np.float32], lens: Pinhole, source: Source) -> str:
        """Search a sample; return what to log where that settled the scale."""
        assert self.floor is not None
        self._follow(source)
        if source.quantity is not self.floor.options.quantity or source.model < self._model:
            return ''
        with self._lock:
            frozen = self.floor.look(values, lens, monotonic())
            return f'calibrated by the floor; {self.floor.state}' if frozen else ''

    @property
    def state(self) -> str:
        """What is applied, in words."""
        if self.floor is not None:
            with self._lock:
                return self.floor.state
        if self._focal is not None:
            return 'for the focal length' if self._factor is None else (
                f'times {self._factor:.4g} for the focal length')
        return f'{_numbers(self.correction)}, from a file' if self.correction else 'none'

    @property
    def facts(self) -> dict[str, str]:
        """What diagnostics show, under its names there."""
        facts = {'calibration': self.state}
        if self.floor is not None:
            with self._lock:
                estimate, off = self.floor.estimate, self.floor.disagreement
            if off is not None:
                facts['floor_disagreement'] = f'{off:+.3f}'
            if estimate is not None:
                facts |= {'calibration_scale': f'{estimate.scale:.4g}',
                          'calibration_spread': f'{estimate.spread:.4f}'}
        return facts

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong with what is applied: each fault's name, and it in words."""
        if self.floor is None:
            return {}
        with self._lock:
            fault = self.floor.fault
        return {'floor disagrees': fault} if fault else {}

    @property
    def correction(self) -> Correction | None:
        """What is applied; None while that is nothing."""
        if self.floor is not None:
            return self.floor.correction
        return self._file.correction if self._file else None


def _check(file: CalibrationFile, depth: Map, focal: float | None, source: Source) -> None:
    """Raise UncalibratedError for other images than the calibration's, or another network size."""
    height, width = depth.shape
    try:  # an unknown focal length is taken for the file's own
        file.check(file.model, CameraKey(width, height, focal or file.camera.fx),
                   network=str(Size(*source.network)))
    except CalibrationError as error:
        raise UncalibratedError(str(error)) from error


def _numbers(correction: Correction) -> str:
    shift = f', shift {correction.shift:.4g}' if correction.shift else ''
    return f'scale {correction.scale:.4g}{shift}'
