# SPDX-License-Identifier: Apache-2.0
"""Which calibration each camera gets, by the parameters and for the model that is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calibration_file import CalibrationFile, read_calibration
from ..core.estimator import DepthEstimator
from ..core.families.base import Quantity
from ..core.families.registry import AUTO
from ..core.floor import FloorOptions
from ..core.focal import FocalCorrection, Magnification
from ..core.live_floor import LiveFloor, watched
from .calibrations import CalibrationSettings, CameraCalibration

if TYPE_CHECKING:
    from .settings import Settings


LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class DepthSource:
    """What gives the depth that is calibrated."""

    model: str
    """As the parameter names it."""
    quantity: Quantity
    domain: str = ''
    """Its metric head, as the parameter names it; '' where it has no choice."""
    magnification: Magnification = lambda height, width: None


def calibrations_for(settings: Settings,
                     estimator: DepthEstimator) -> dict[str, CameraCalibration]:
    """Return the calibration of each camera that has one; raises as :func:`load_calibrations`."""
    family = estimator.family
    source = DepthSource(
        settings.model.name, family.quantity, settings.network.domain if family.domains else '',
        lambda height, width: estimator.family.magnification(height, width))
    return load_calibrations(settings.calibration, settings.cameras.names, source)


def load_calibrations(settings: CalibrationSettings, cameras: Iterable[str],
                      source: DepthSource) -> dict[str, CameraCalibration]:
    """
    Return the calibration of each camera that has one, under its name.

    :raises ValueError: when a file cannot be read, is of another model or metric head, or makes
        no metres of what the model gives.
    """
    names = list(cameras)
    if not settings.is_on:
        return {}
    if source.domain == AUTO:
        LOGGER.warning("the metric heads of '%s' have scales of their own, and one calibration is "
                       "for both: set 'domain' to one of them, and calibrate with --domain",
                       source.model)
    files, heights, pitches = (
        _one_each(f'calibration.{name}', getattr(settings, name), len(names))
        for name in ('file', 'camera_height', 'pitch'))
    made = {name: _calibration(settings, file, height, pitch, source)
            for name, file, height, pitch in zip(names, files, heights, pitches, strict=True)}
    return {name: each for name, each in made.items() if each is not None}


def _calibration(settings: CalibrationSettings, path: str, height: float, pitch: float,
                 source: DepthSource) -> CameraCalibration | None:
    if (reference := settings.reference_camera) is not None:
        _check_metres(source)
        return CameraCalibration(None, None, FocalCorrection(reference, source.magnification))
    file = _read(path, source) if path else None
    if settings.mode != 'floor':
        return CameraCalibration(file, None) if file else None
    known = settings.pitch_tolerance > 0
    if source.quantity is Quantity.INVERSE_DEPTH and not file and not known:
        raise ValueError(f"model '{source.model}' gives {source.quantity.value}: "
                         'calibration.mode floor needs calibration.pitch and '
                         'calibration.pitch_tolerance for it')
    options = FloorOptions(-pitch if known else None, settings.pitch_tolerance,
                           quantity=source.quantity)
    return CameraCalibration(file, watched(options, height, file.correction) if file else
                             LiveFloor(options, height))


def _check_metres(source: DepthSource) -> None:
    if source.quantity is not Quantity.METRES:
        raise ValueError(f"model '{source.model}' gives {source.quantity.value}, which "
                         'calibration.reference_focal makes no metres of')


def _read(path: str, source: DepthSource) -> CalibrationFile:
    file = read_calibration(Path(path).expanduser())
    file.check(source.model, None, source.domain)
    if file.correction.quantity is not source.quantity:
        raise ValueError(f"{path} is of kind '{file.correction.kind}', but model "
                         f"'{source.model}' gives {source.quantity.value}")
    return file


def _one_each(name: str, values: tuple[Any, ...], cameras: int) -> list[Any]:
    """Spread one value over all cameras; raises ValueError for another number of them."""
    if len(values) not in (1, cameras):
        raise ValueError(f'{name} must be one value, or one for each of the {cameras} cameras')
    return [*values] * (cameras if len(values) == 1 else 1)
