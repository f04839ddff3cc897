"""What turns each camera's depth into metres, or into better metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..calibration_file import CalibrationError, CalibrationFile, CameraKey, read_calibration
from ..core.correction import INVERSE, KINDS
from ..core.families.base import Quantity
from ..core.frame import Depth

UNCALIBRATED = ('has no scale: subscribe to depth/relative, take a model that gives metres, or '
                'calibrate this one (calibrate floor --relative, then calibration.file)')


@dataclass(frozen=True)
class Metres:
    """How one camera's depth is brought to metres, where it can be."""

    quantity: Quantity = Quantity.METRES
    """What the model gives."""
    calibration: CalibrationFile | None = None

    @property
    def known(self) -> bool:
        """Whether there are metres; else there is inverse depth without a scale."""
        return self.calibration is not None or self.quantity is Quantity.METRES

    @property
    def why_not(self) -> str:
        """Say why there are none, and what to do."""
        return '' if self.known else f'the model gives {self.quantity.value}, which {UNCALIBRATED}'

    def __call__(self, depth: Depth) -> Depth:
        """Return metres of what the model gave; inverse depth where none are known."""
        if self.calibration is not None:
            return self.calibration.correction(depth)
        if self.quantity is Quantity.RELATIVE_DEPTH:
            with np.errstate(divide='ignore', invalid='ignore'):
                return np.where(depth > 0, 1 / depth, np.nan).astype(np.float32)
        return depth

    def fault(self, width: int, height: int, focal_length: float | None) -> str:
        """
        Say how a camera differs from the one that was calibrated, or ''.

        :param focal_length: fx in pixels of its images; None where it is not known.
        """
        if self.calibration is None:
            return ''
        key = self.calibration.camera
        other = CameraKey(width, height, key.fx if focal_length is None else focal_length)
        difference = key.mismatch(other)
        return difference and (f'calibration.file is of {difference}: its metres are wrong here, '
                               'calibrate this camera')


ALREADY = Metres()
"""Of a model that gives metres, as it gives them."""


def read(paths: Sequence[str], model: str) -> list[CalibrationFile | None]:
    """
    Read the calibration of each camera.

    :param paths: '' is none.
    :param model: whose depth it must be of.
    :raises CalibrationError: for a file that cannot be used, or is of another model.
    """
    files = [read_calibration(Path(path).expanduser()) if path else None for path in paths]
    for path, file in zip(paths, files, strict=True):
        if file is not None and file.model != model:
            raise CalibrationError(f"{path} is of the depth of '{file.model}', not of model "
                                   f"'{model}': calibrate this one")
    return files


def metres_of(file: CalibrationFile | None, quantity: Quantity) -> Metres:
    """Return how a camera's depth becomes metres; raises CalibrationError for another quantity."""
    if file is not None and (file.correction.kind == INVERSE) != (
            quantity is Quantity.INVERSE_DEPTH):
        raise CalibrationError(f'the calibration of kind {file.correction.kind} '
                               f'({KINDS[file.correction.kind]}) does not fit a model that gives '
                               f'{quantity.value}: calibrate this one')
    return Metres(quantity, file)
