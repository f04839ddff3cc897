# SPDX-License-Identifier: Apache-2.0
"""Each camera's calibration on its way to metres: from a file, or from the floor as it drives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration_file import CalibrationFile, CameraKey, read_calibration
from ..core.correction import INVERSE, Correction
from ..core.families.base import Quantity
from ..core.floor import FloorOptions
from ..core.live_floor import LiveFloor, thinned, watched
from ..core.pinhole import Pinhole
from .groups import Group, parameter

Depth = NDArray[np.float32]

PERIOD = 1.0
"""Seconds between the images of a camera that are searched for a floor."""


@dataclass(frozen=True)
class CalibrationSettings(Group):
    """What makes metres, or better metres, of the model's depth."""

    prefix = 'calibration'

    file: tuple[str, ...] = parameter(
        ('',), "A calibration.yaml for all cameras or one each, '' for none; one of another "
        'model, image size or focal length is refused', live=False)
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
        0.0, 'Radians by which pitch may be wrong; 0: it is not known, so a ramp is not told from '
        'a floor, and a model without metres cannot be calibrated by it', live=False,
        low=0.0, high=0.5)

    def check(self) -> None:
        """Refuse mode floor without what it needs."""
        if self.mode == 'floor' and not all(0.05 <= each <= 20 for each in self.camera_height):
            raise ValueError('calibration.mode floor needs calibration.camera_height, 0.05 to '
                             f'20 m, not {list(self.camera_height)}')
        if not all(abs(each) < math.pi / 2 for each in self.pitch):
            raise ValueError(f'calibration.pitch is in radians, not {list(self.pitch)}')

    @property
    def is_on(self) -> bool:
        """Whether depth is calibrated at all."""
        return self.mode != 'off' or any(self.file)


class UncalibratedError(Exception):
    """Depth that must not be published as metres; the text says why."""


class CameraCalibration:
    """One camera's: applied and fed by the worker, asked by diagnostics."""

    def __init__(self, file: CalibrationFile | None, floor: LiveFloor | None) -> None:
        """Begin with a file, a floor to collect or to watch, or both."""
        self._file, self.floor = file, floor
        self._lock = Lock()
        self._looked = -math.inf

    def __call__(self, depth: Depth, quantity: Quantity, focal: float | None) -> Depth:
        """
        Return metres of a model's map.

        :param focal: fx in pixels of the map; None where it is not known.
        :raises UncalibratedError: when it cannot be told what metres they are.
        """
        correction = self.correction
        if self._file is not None and (difference := _mismatch(self._file, depth, focal)):
            raise UncalibratedError(f'the calibration is of {difference}: calibrate this camera')
        if correction is None:
            if quantity is Quantity.METRES:
                return depth
            raise UncalibratedError(f'the model gives {quantity.value}, and the floor has not '
                                    f'told its scale yet: {self.state}')
        if (correction.kind == INVERSE) is not (quantity is Quantity.INVERSE_DEPTH):
            raise UncalibratedError(f"the calibration's kind is '{correction.kind}', but the "
                                    f'model gives {quantity.value}')
        return correction(depth)

    def sample(self, depth: Depth, lens: Callable[[], Pinhole | None],
               ) -> tuple[Depth, Pinhole] | None:
        """Return what to search for a floor, once in a while; else None, at no cost."""
        if self.floor is None or monotonic() - self._looked < PERIOD:
            return None
        self._looked = monotonic()
        seen = lens()
        return None if seen is None else thinned(depth, seen)

    def look(self, values: Depth, lens: Pinhole, quantity: Quantity) -> str:
        """Search a sample; return what to log where that settled the scale."""
        assert self.floor is not None
        if (quantity is Quantity.INVERSE_DEPTH) is not self.floor.options.relative:
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
        return f'scale {self.correction.scale:.4g}, from a file' if self.correction else 'none'

    @property
    def facts(self) -> dict[str, str]:
        """What diagnostics show, under its names there."""
        facts = {'calibration': self.state}
        if self.floor is not None:
            with self._lock:
                estimate = self.floor.estimate
            if estimate is not None:
                facts |= {'calibration_scale': f'{estimate.scale:.4g}',
                          'calibration_spread': f'{estimate.spread:.4f}'}
        return facts

    @property
    def faults(self) -> list[str]:
        """What is wrong with what is applied."""
        if self.floor is None:
            return []
        with self._lock:
            return [self.floor.fault] if self.floor.fault else []

    @property
    def correction(self) -> Correction | None:
        """What is applied; None while that is nothing."""
        if self.floor is not None:
            return self.floor.correction
        return self._file.correction if self._file else None


def load_calibrations(settings: CalibrationSettings, cameras: Iterable[str], model: str,
                      quantity: Quantity) -> dict[str, CameraCalibration]:
    """
    Return the calibration of each camera that has one, under its name.

    :param model: as the parameter names it.
    :param quantity: what the model gives.
    :raises ValueError: when a file cannot be read, is of another model, or makes no metres of
        what the model gives.
    """
    names = list(cameras)
    if not settings.is_on:
        return {}
    files, heights, pitches = (
        _one_each(f'calibration.{name}', getattr(settings, name), len(names))
        for name in ('file', 'camera_height', 'pitch'))
    made = {name: _calibration(settings, file, height, pitch, model, quantity)
            for name, file, height, pitch in zip(names, files, heights, pitches, strict=True)}
    return {name: each for name, each in made.items() if each is not None}


def _calibration(settings: CalibrationSettings, path: str, height: float, pitch: float,
                 model: str, quantity: Quantity) -> CameraCalibration | None:
    file = _read(path, model, quantity) if path else None
    relative = quantity is Quantity.INVERSE_DEPTH
    if settings.mode != 'floor':
        return CameraCalibration(file, None) if file else None
    if relative and not file and not settings.pitch_tolerance:
        raise ValueError(f"model '{model}' gives {quantity.value}: calibration.mode floor needs "
                         'calibration.pitch and calibration.pitch_tolerance for it')
    known = settings.pitch_tolerance > 0
    options = FloorOptions(-pitch if known else None, settings.pitch_tolerance,
                           relative=relative)
    return CameraCalibration(file, watched(options, height, file.correction) if file else
                             LiveFloor(options, height))


def _read(path: str, model: str, quantity: Quantity) -> CalibrationFile:
    file = read_calibration(Path(path).expanduser())
    file.check(model, None)
    if (file.correction.kind == INVERSE) is not (quantity is Quantity.INVERSE_DEPTH):
        raise ValueError(f"{path} is of kind '{file.correction.kind}', but model '{model}' gives "
                         f'{quantity.value}')
    return file


def _mismatch(file: CalibrationFile, depth: Depth, focal: float | None) -> str:
    """Return how the images differ from the calibration's; an unknown focal length does not."""
    height, width = depth.shape
    return file.camera.mismatch(CameraKey(width, height, focal or file.camera.fx))


def _one_each(name: str, values: tuple[Any, ...], cameras: int) -> list[Any]:
    """Spread one value over all cameras; raises ValueError for another number of them."""
    if len(values) not in (1, cameras):
        raise ValueError(f'{name} must be one value, or one for each of the {cameras} cameras')
    return [*values] * (cameras if len(values) == 1 else 1)


def inverse_depth(values: Depth, quantity: Quantity) -> Depth:
    """Return relative depth as inverse depth, NaN where there is none; all else as it is."""
    if quantity is not Quantity.RELATIVE_DEPTH:
        return values
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(values > 0, 1 / values, np.nan).astype(np.float32)
