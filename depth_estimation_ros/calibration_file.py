# SPDX-License-Identifier: Apache-2.0
"""calibration.yaml: a correction of one model's depth on one camera, and what speaks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any

import yaml

from .core.correction import KINDS, Correction
from .whole_file import write_whole

SAME_FOCAL = 0.02
"""The share by which the focal length may differ from that of the calibration's camera."""


class CalibrationError(ValueError):
    """A calibration that cannot be read, makes no sense, or is of another model or camera."""


@dataclass(frozen=True)
class CameraKey:
    """What a camera is recognised by."""

    width: int
    height: int
    fx: float
    """Pixels of an image of this size."""

    def mismatch(self, other: CameraKey) -> str:
        """Return how another camera differs, or nothing."""
        if (self.width, self.height) != (other.width, other.height):
            return (f'images of {self.width}x{self.height}, not '
                    f'{other.width}x{other.height}')
        if abs(self.fx - other.fx) > SAME_FOCAL * self.fx:
            return f'a focal length of {self.fx:.1f} pixels, not {other.fx:.1f}'
        return ''


@dataclass(frozen=True)
class CalibrationFile:
    """The content of a calibration.yaml."""

    model: str
    """The model, or the topic that its depth came from."""
    camera: CameraKey
    correction: Correction
    spread: float
    """The robust standard deviation of the scale over the evidence, as a share of it."""
    date: str
    """ISO 8601, UTC."""
    evidence: Mapping[str, Any]
    """What was measured, where, and how much of it."""
    domain: str = ''
    """The metric head that gave the depth, as the parameter ``domain`` names it; '' for a model
    without a choice, or where it is not known."""
    network: str = ''
    """The size at which the network saw the images, such as 512x384; '' where it is not known."""

    def write(self, path: Path) -> None:
        """Write the file whole; raises CalibrationError when that cannot be done."""
        correction = self.correction
        known = {name: value for name, value in (
            ('domain', self.domain), ('network', self.network)) if value}
        text = yaml.safe_dump({
            'model': self.model, **known, 'camera': asdict(self.camera), 'kind': correction.kind,
            'values': {'scale': correction.scale, 'shift': correction.shift},
            'spread': self.spread, 'date': self.date, 'evidence': dict(self.evidence),
        }, sort_keys=False)
        try:
            write_whole(path, f'# {KINDS[correction.kind].formula}\n{text}')
        except OSError as error:
            raise CalibrationError(f'{path} cannot be written: {error.strerror}') from error

    def check(self, model: str, camera: CameraKey | None, domain: str = '',
              network: str = '') -> None:
        """
        Refuse depth that this calibration is not of.

        :param camera: None where it is not known.
        :param domain: the metric head that gives the depth; '' where it is not known.
        :param network: the size at which the network sees the images; '' where it is not known.
        :raises CalibrationError: for another model, metric head, camera or size of the network.
        """
        if model != self.model:
            raise CalibrationError(f"the calibration is of model '{self.model}', not '{model}'")
        if self.domain and domain and domain != self.domain:
            raise CalibrationError(f"the calibration is of domain '{self.domain}', not "
                                   f"'{domain}': the metric heads of '{model}' have other scales")
        if camera and (difference := self.camera.mismatch(camera)):
            raise CalibrationError(f'the calibration is of {difference}: calibrate this camera')
        if self.network and network and network != self.network:
            raise CalibrationError(f'the calibration is of a network that sees {self.network}, '
                                   f'not {network}, which has another scale: set network.height '
                                   'and network.width (--height, --width) as they were, or '
                                   'calibrate anew')


def read_calibration(path: Path) -> CalibrationFile:
    """
    Read a calibration.yaml.

    :raises CalibrationError: when it is missing, broken or absurd; the text says what and where.
    """
    try:
        content = yaml.safe_load(path.read_text())
        values = {name: float(content['values'][name]) for name in ('scale', 'shift')}
        camera = CameraKey(**{item.name: type_(content['camera'][item.name]) for item, type_ in
                              zip(fields(CameraKey), (int, int, float), strict=True)})
        read = CalibrationFile(_text(content['model']), camera,
                               Correction(_text(content['kind']), **values),
                               float(content['spread']), _text(content['date']),
                               dict(content['evidence']), _text(content.get('domain')),
                               _text(content.get('network')))
    except OSError as error:
        raise CalibrationError(f'{path} cannot be read: {error.strerror}') from error
    except KeyError as error:
        raise CalibrationError(f'{path} has no {error}: it is no calibration.yaml') from error
    except (yaml.YAMLError, TypeError, ValueError, OverflowError) as error:
        reason = ' '.join(str(error).split())
        raise CalibrationError(f'{path} is no calibration.yaml: {reason}') from error
    if fault := _fault(read) or read.correction.fault():
        raise CalibrationError(f'{path}: {fault}')
    return read


def _text(value: object) -> str:
    """Return a value as text; a key without a value, which YAML takes for null, has none."""
    return '' if value is None else str(value)


def _fault(read: CalibrationFile) -> str:
    """Return what beside the correction cannot be right, or nothing."""
    if not read.model:
        return 'model has no value: name the model whose depth it corrects'
    for name, value in asdict(read.camera).items():
        if not 0 < value < inf:
            return f'camera: {name} {value} is no number above 0: calibrate again'
    if not 0 <= read.spread < inf:
        return f'spread {read.spread:g} is no share from 0 on: calibrate again'
    return ''
