# SPDX-License-Identifier: Apache-2.0
"""Calibrate depth from what a robot knows: a flat floor, another sensor, a distance, a tag."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

from ..calibration_file import CalibrationError
from ..core.families.base import Quantity
from ..core.floor import NotEnoughFloorError
from ..core.reference_pairs import UnusableReferenceError
from ..core.tag import FAMILIES
from ..offline.command import run_command, whole
from ..recordings import MOST_TOLERANCE
from .calibrate_floor import calibrate_floor
from .calibrate_reference import (
    calibrate_depth,
    calibrate_distance,
    calibrate_points,
    calibrate_scan,
    calibrate_tag,
)

FAULTS = (CalibrationError, NotEnoughFloorError, UnusableReferenceError)
"""What is one line and code 1, as faults of recordings and models are."""

STEEPEST = math.pi / 2


def main(args: list[str] | None = None) -> int:
    """Run from the command line."""
    options = _parser().parse_args(args)
    return run_command('calibrate', lambda: _run(options), faults=FAULTS, goes_on=False)


def _run(options: argparse.Namespace) -> int:
    options.calibrate(options)
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
    commands = parser.add_subparsers(required=True, metavar='REFERENCE', dest='reference')
    for name, text, calibrate, add in (
            ('floor', "the camera's height over a flat floor", calibrate_floor, _add_floor),
            ('depth', "a depth camera in the image's frame", calibrate_depth, _add_depth),
            ('scan', 'a laser scanner (LaserScan)', calibrate_scan, _add_points),
            ('points', 'a lidar or a sparse map (PointCloud2)', calibrate_points, _add_points),
            ('distance', 'distances measured by hand', calibrate_distance, _add_distance),
            ('tag', 'an AprilTag of known size', calibrate_tag, _add_tag)):
        command = commands.add_parser(name, help=text, description=(
            f'Write a calibration.yaml by {text}.'))
        command.set_defaults(calibrate=calibrate)
        add(command)
        _add_common(command)
    return parser


def _add_floor(floor: argparse.ArgumentParser) -> None:
    floor.add_argument('--camera-height', type=_between(0.05, 20), required=True,
                       help='metres from the floor to the lens')
    floor.add_argument('--pitch', type=_between(-STEEPEST, STEEPEST), help='radians by which the '
                       'camera looks above the horizontal, negative looks down; without it a '
                       'ramp is not told from a floor')
    floor.add_argument('--pitch-tolerance', type=_between(0.002, 0.5), default=math.radians(3),
                       help='radians by which it may be wrong at the very most, three '
                       'standard deviations')


def _add_depth(depth: argparse.ArgumentParser) -> None:
    depth.add_argument('--depth', default='', help="the reference: a depth topic in the image's "
                       'geometry; without it one in its frame')
    _add_slop(depth)


def _add_points(points: argparse.ArgumentParser) -> None:
    points.add_argument('--topic', required=True, help="the reference's topic")
    points.add_argument('--transform', type=float, nargs=7,
                        metavar=('X', 'Y', 'Z', 'QX', 'QY', 'QZ', 'QW'), help="where the sensor's "
                        "frame lies in the camera's optical frame, metres and a quaternion, as "
                        'tf2_echo OPTICAL SENSOR prints it; without it by tf_static')
    _add_slop(points)


def _add_distance(distance: argparse.ArgumentParser) -> None:
    distance.add_argument('--at', type=float, nargs=3, action='append', required=True,
                          metavar=('U', 'V', 'METRES'), help='column and row in the '
                          'image (in the map, with --prediction), and how far along the optical '
                          'axis (REP 118) what is seen there is in every image; may be repeated')
    distance.add_argument('--straight-line', action='store_true', help='the metres are in a '
                          'straight line from the lens, as a laser rangefinder has them')
    distance.set_defaults(slop=0.02)


def _add_tag(tag: argparse.ArgumentParser) -> None:
    tag.add_argument('--size', type=_between(0.01, 5), required=True, help="metres along a side "
                     "of the tag's black square")
    tag.add_argument('--family', choices=tuple(FAMILIES), default='36h11')
    tag.add_argument('--id', type=int, help='the one to take; without it all, of one size')
    _add_slop(tag)


def _add_slop(command: argparse.ArgumentParser) -> None:
    command.add_argument('--slop', type=_between(0, MOST_TOLERANCE / 1e9), default=0.02,
                         help='seconds between what belongs together, at most; at 0.1 only where '
                         'the robot stands or drives slowly')


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument('recording', help='a recording of any kind')
    command.add_argument('--image', default='', help="the recording's image topic; without it the "
                         'first rectified or colour one')
    command.add_argument('--prediction', default='', help='a depth topic to take in place of '
                         'running the model; name the model that made it by --model, if the node '
                         'is to take the calibration')
    command.add_argument('--quantity', choices=[each.name.lower() for each in Quantity],
                         default='metres', help="what --prediction's maps are; a model's own are "
                         'known')
    command.add_argument('--model', default='', help="hub id, folder, or demo, as the node's "
                         "parameter 'model' says it; without it demo")
    command.add_argument('--domain', default='auto', help="the metric head, as the node's "
                         "parameter 'domain' says it")
    command.add_argument('--height', type=whole, default=0, help='rows that the network sees, as '
                         "the node's network.height: the scale of the depth goes by it")
    command.add_argument('--width', type=whole, default=0, help='columns, as network.width')
    command.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    command.add_argument('--focal', type=_between(10, 100_000), help='fx in pixels of the '
                         'image (of the map, with --prediction), where the recording has no '
                         'camera_info')
    command.add_argument('--frames', type=whole, default=0,
                         help='so many images at most; 0 is all')
    command.add_argument('--output', type=Path, default=Path('calibration.yaml'))
    command.add_argument('--stats', action='store_true', help='print time and peak memory')


if __name__ == '__main__':
    sys.exit(main())
