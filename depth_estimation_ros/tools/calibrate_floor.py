# SPDX-License-Identifier: Apache-2.0
"""calibrate floor: the scale from the camera's height over a flat floor."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tqdm import tqdm

from ..calibration_file import CalibrationError
from ..core.families.base import Quantity
from ..core.floor import Floor, FloorOptions, NotEnoughFloorError, find_floor
from ..core.floor_scale import FloorScale, agree
from .calibrate_run import CalibrationRun, begin, finish
from .views import Depth, OneCamera, Predictor, View


@dataclass
class Survey:
    """The floors of a recording, image by image."""

    camera: OneCamera
    pitch: float | None
    """Radians above the horizontal; None where it is not known."""
    pitch_tolerance: float
    floors: list[Floor] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    """Why images had none, without their figures."""
    looked_at: int = 0

    def add(self, view: View, depth: Depth, quantity: Quantity) -> None:
        """
        Look for the floor in one image.

        :raises CalibrationError: when the camera is not calibrated, or is another one suddenly,
            or a pitch is lacking.
        """
        lens = self.camera.lens(view, depth.shape)
        self.looked_at += 1
        try:
            self.floors.append(find_floor(depth, lens, self._options(quantity)))
        except NotEnoughFloorError as error:
            self.faults[str(error)] += 1

    def survey(self, views: Iterator[View], predictor: Predictor) -> None:
        """Look for the floor in every view."""
        for view in tqdm(views, desc='images', unit='', disable=None):
            depth = predictor(view)
            self.add(view, depth, predictor.quantity)

    def result(self, camera_height: float) -> FloorScale:
        """Return what the images agree on; raises NotEnoughFloorError, with an example of why."""
        try:
            return agree(self.floors, self.looked_at, camera_height)
        except NotEnoughFloorError as error:
            if 2 * sum(self.faults.values()) < self.looked_at:
                raise
            example = self.faults.most_common(1)[0][0].partition(': ')[2]
            raise NotEnoughFloorError(f"{str(error).partition(': ')[2]}; in one, {example}"
                                      ) from error

    def _options(self, quantity: Quantity) -> FloorOptions:
        if quantity is Quantity.INVERSE_DEPTH and self.pitch is None:
            raise CalibrationError(f'a model that gives {quantity.value} needs --pitch: the '
                                   'horizon tells the shift')
        return FloorOptions(None if self.pitch is None else -self.pitch, self.pitch_tolerance,
                            quantity=quantity)


def calibrate_floor(options: argparse.Namespace) -> None:
    """
    Survey a recording, write calibration.yaml and print what it says.

    :raises NotEnoughFloorError: when no scale can be trusted; nothing is written then.
    """
    run = begin(options)
    survey = Survey(run.camera, options.pitch, options.pitch_tolerance)
    with run.over(lambda: survey.looked_at) as views:
        survey.survey(views, run.predictor)
    scale = survey.result(options.camera_height)
    correction = scale.correction(run.predictor.quantity)
    if fault := correction.fault():
        raise CalibrationError(f'the floor gives no usable calibration: {fault}')
    _print(run, scale, options)
    finish(run, options, correction, scale.spread, _evidence(options, run, scale))


def _evidence(options: argparse.Namespace, run: CalibrationRun,
              scale: FloorScale) -> dict[str, str | int | float | None]:
    inverse = run.predictor.quantity is Quantity.INVERSE_DEPTH
    return {'method': 'floor', 'recording': options.recording, 'topic': run.topic,
            'camera_height': options.camera_height, 'pitch_given': options.pitch,
            'pitch_found': None if inverse else round(-scale.pitch, 4),
            'images': scale.looked_at, 'images_with_floor': scale.frames,
            'floor_share': round(scale.share, 3)}


def _print(run: CalibrationRun, scale: FloorScale, options: argparse.Namespace) -> None:
    print(f'{scale.frames} of {scale.looked_at} images have a floor, on {scale.share:.0%} of '
          f'their lower half; the scale is {scale.scale:.4f}, spread {scale.spread:.1%}')
    if run.predictor.quantity is Quantity.INVERSE_DEPTH:
        print(f'the shift is {scale.shift:.5g}, by a pitch of {options.pitch:g} rad: a slope '
              'that fills the view would look like a floor')
        return
    print(f'the pitch is {-scale.pitch:.3f} rad ({math.degrees(scale.pitch):.1f} degrees down), '
          'by the floor')
    if options.pitch is None:
        print('no --pitch was given: a ramp would have looked like a floor')
