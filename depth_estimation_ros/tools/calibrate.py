# SPDX-License-Identifier: Apache-2.0
"""Calibrate depth from what a robot knows: how high its camera stands over a flat floor."""

from __future__ import annotations

import argparse
import datetime
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from ..calibration_file import CalibrationError, CalibrationFile, CameraKey
from ..core.correction import KINDS
from ..core.errors import DepthError
from ..core.floor import Floor, FloorOptions, NotEnoughFloorError, find_floor
from ..core.floor_scale import FloorScale, agree
from ..offline.command import stats
from ..recordings import RecordingError, find_cameras, open_recording
from ..resources import DEMO_MODEL
from .views import Depth, Predictor, View, camera_key, lens_of, recorded_views


@dataclass
class Survey:
    """The floors of a recording, image by image."""

    topic: str
    """Of the images, or of their depth."""
    options: FloorOptions
    focal: float | None
    floors: list[Floor] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    """Why images had none, without their figures."""
    looked_at: int = 0
    camera: CameraKey | None = None
    distorted: bool = False

    def add(self, view: View, depth: Depth) -> None:
        """
        Look for the floor in one image.

        :raises CalibrationError: when the camera is not calibrated, or is another one suddenly.
        """
        lens = lens_of(view, self.topic, depth.shape, self.focal)
        if lens is None:
            raise CalibrationError(f'{view.name} has no camera_info with K: name the focal length '
                                   'in pixels with --focal')
        key = camera_key(lens, depth.shape)
        if self.camera and (difference := self.camera.mismatch(key)):
            raise CalibrationError(f'{view.name}: the camera changes: {difference}')
        self.camera = self.camera or key
        self.distorted |= (view.lens is not None and 'rect' not in self.topic
                           and not view.lens.is_undistorted)
        self.looked_at += 1
        try:
            self.floors.append(find_floor(depth, lens, self.options))
        except NotEnoughFloorError as error:
            self.faults[str(error)] += 1

    def survey(self, views: Iterator[View], predictor: Predictor) -> None:
        """Look for the floor in every view."""
        for view in tqdm(views, desc='images', unit='', disable=None):
            self.add(view, predictor(view))

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


def calibrate_floor(options: argparse.Namespace) -> None:
    """
    Survey a recording, write calibration.yaml and print what it says.

    :raises NotEnoughFloorError: when no scale can be trusted; nothing is written then.
    """
    recording = open_recording(options.recording)
    camera = find_cameras(recording, options.image)[0]
    topic, predictor = options.prediction or camera.image, Predictor(
        options.model or DEMO_MODEL, options.device, only_metres=not options.relative)
    views = recorded_views(recording, camera, options.prediction)
    if options.frames:
        views = islice(views, options.frames)
    try:
        found = Survey(topic, floor_options(options), options.focal)
        with stats(options.stats, lambda: found.looked_at):
            found.survey(views, predictor)
    finally:
        predictor.close()
        for text in recording.warnings:
            print(f'calibrate: {text}', file=sys.stderr)
    scale = found.result(options.camera_height)
    assert found.camera is not None
    file = CalibrationFile(
        options.model or options.prediction or DEMO_MODEL, found.camera,
        scale.correction(relative=options.relative), scale.spread,
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        _evidence(options, topic, scale))
    if fault := file.correction.fault():
        raise CalibrationError(f'the floor gives no usable calibration: {fault}')
    file.write(options.output)
    _print(file, found, scale, options)


def floor_options(options: argparse.Namespace) -> FloorOptions:
    """Return what the command line says of the camera's mounting."""
    pitch = None if options.pitch is None else math.radians(options.pitch)
    if options.relative and pitch is None:
        raise CalibrationError('--relative needs --pitch: the horizon tells the shift')
    return FloorOptions(pitch, math.radians(options.pitch_tolerance), relative=options.relative)


def _evidence(options: argparse.Namespace, topic: str,
              scale: FloorScale) -> dict[str, str | int | float | None]:
    return {'method': 'floor', 'recording': options.recording, 'topic': topic,
            'camera_height': options.camera_height, 'pitch_given': options.pitch,
            'pitch_found': None if options.relative else round(math.degrees(scale.pitch), 2),
            'images': scale.looked_at, 'images_with_floor': scale.frames,
            'floor_share': round(scale.share, 3)}


def _print(file: CalibrationFile, found: Survey, scale: FloorScale,
           options: argparse.Namespace) -> None:
    values = file.correction
    print(f'{scale.frames} of {scale.looked_at} images have a floor, on {scale.share:.0%} of '
          f'their lower half; the scale is {values.scale:.4f}, spread {scale.spread:.1%}')
    if options.relative:
        print(f'the shift is {values.shift:.5g}, by a pitch of {options.pitch:g} degrees: a slope '
              'that fills the view would look like a floor')
    else:
        print(f'the camera looks {math.degrees(scale.pitch):.1f} degrees down, by the floor')
        if options.pitch is None:
            print('no --pitch was given: a ramp would have looked like a floor')
    if found.distorted:
        print('the image is not rectified, and its distortion is ignored here: a rectified one '
              'gives a better scale')
    print(f'{KINDS[values.kind]}, for {file.model} on images of {file.camera.width}x'
          f'{file.camera.height} with fx {file.camera.fx:g}; the node applies it by '
          'calibration.file')
    print(f'Written: {options.output}')


def main(args: list[str] | None = None) -> int:
    """Run from the command line."""
    try:
        calibrate_floor(_parser().parse_args(args))
    except (RecordingError, CalibrationError, NotEnoughFloorError, DepthError, OSError) as error:
        print(f'calibrate: {error}', file=sys.stderr)
        return 1
    return 0


def _between(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{text} is not within {low:g} to {high:g}')
        return value

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='calibrate', description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='REFERENCE')
    floor = commands.add_parser('floor', help="the camera's height over a flat floor",
                                description='Write a calibration.yaml from the floor.')
    floor.add_argument('recording', help='a recording of any kind')
    floor.add_argument('--camera-height', type=_between(0.05, 20), required=True,
                       help='metres from the floor to the lens')
    floor.add_argument('--pitch', type=_between(-30, 80), help='degrees by which the camera looks '
                       'below the horizon; without it a ramp is not told from a floor')
    floor.add_argument('--pitch-tolerance', type=_between(0.1, 30), default=3.0,
                       help='degrees by which it may be wrong')
    floor.add_argument('--relative', action='store_true', help='the maps are inverse depth of '
                       'unknown scale and shift, not metres')
    floor.add_argument('--image', default='', help="the recording's image topic; without it the "
                       'first rectified or colour one')
    floor.add_argument('--prediction', default='', help='a depth topic to take in place of '
                       'running the model; name the model that made it by --model, if the node '
                       'is to take the calibration')
    floor.add_argument('--model', default='', help="hub id, folder, or demo, as the node's "
                       "parameter 'model' says it; without it demo")
    floor.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    floor.add_argument('--focal', type=_between(10, 100_000), help='fx in pixels, where the '
                       'recording has no camera_info')
    floor.add_argument('--frames', type=int, default=0, help='so many images at most; 0 is all')
    floor.add_argument('--output', type=Path, default=Path('calibration.yaml'))
    floor.add_argument('--stats', action='store_true', help='print time and peak memory')
    return parser


if __name__ == '__main__':
    sys.exit(main())
