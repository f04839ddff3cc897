# SPDX-License-Identifier: Apache-2.0
"""What every way to calibrate has in common: a camera's views before, calibration.yaml after."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ..calibration_file import CalibrationFile
from ..core.correction import KINDS, Correction
from ..core.families.base import Quantity
from ..offline.command import stats
from ..recordings import Camera, Recording, find_cameras, open_recording
from ..resources import DEMO_MODEL
from .views import OneCamera, Predictor, View, check_topic, recorded_views


@dataclass
class CalibrationRun:
    """A recording's camera, and what gives its depth."""

    options: argparse.Namespace
    recording: Recording
    source: Camera
    """The topics; ``truth`` is the reference's, where it has one."""
    predictor: Predictor
    camera: OneCamera
    views: Iterator[View]

    @property
    def topic(self) -> str:
        """The topic that depth is made of, or read from."""
        return self.camera.topic

    @contextmanager
    def over(self, count: Callable[[], int]) -> Iterator[Iterator[View]]:
        """
        Hand out the views; afterwards release the model and print what was wrong with them.

        :param count: tells how many were looked at.
        """
        views = islice(self.views, self.options.frames) if self.options.frames else self.views
        try:
            with stats(self.options.stats, count):
                yield views
        finally:
            self.predictor.close()
            for text in self.recording.warnings:
                print(f'calibrate: {text}', file=sys.stderr)


def begin(options: argparse.Namespace) -> CalibrationRun:
    """
    Open what the command line names; the views are those of the images alone.

    :raises RecordingError: when it is not there, or holds no camera.
    """
    recording = open_recording(options.recording)
    source = replace(find_cameras(recording, options.image)[0], truth=None)
    if options.prediction:
        check_topic(recording, options.prediction)
    predictor = Predictor(options.model or DEMO_MODEL, options.device, domain=options.domain,
                          size=(options.height, options.width),
                          recorded=Quantity[options.quantity.upper()])
    return CalibrationRun(options, recording, source, predictor,
                          OneCamera(options.prediction or source.image, options.focal),
                          recorded_views(recording, source, options.prediction))


def finish(run: CalibrationRun, options: argparse.Namespace, correction: Correction,
           spread: float, evidence: dict[str, Any]) -> None:
    """Write calibration.yaml and print what it is of; raises CalibrationError when it cannot."""
    assert run.camera.key is not None
    domain = run.predictor.domain
    if options.prediction and options.domain != 'auto':
        domain = options.domain
    file = CalibrationFile(
        options.model or options.prediction or DEMO_MODEL, run.camera.key, correction, spread,
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'), evidence,
        domain, run.predictor.network)
    file.write(options.output)
    if run.camera.distorted:
        print('the image is not rectified, and its distortion is ignored here: a rectified one '
              'gives a better calibration')
    print(f'{KINDS[correction.kind].formula}, for {file.model}'
          f'{f" (domain {domain})" if domain else ""} on images of {file.camera.width}x'
          f'{file.camera.height} with fx {file.camera.fx:g}; the node applies it by '
          'calibration.file')
    print(f'Written: {options.output}')
