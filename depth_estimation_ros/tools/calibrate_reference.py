# SPDX-License-Identifier: Apache-2.0
"""calibrate by a depth camera, a scan, a cloud, measured distances or a tag."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from tqdm import tqdm

from ..calibration_file import CalibrationError
from ..core.reference_fit import ReferenceFit, fit_reference
from ..core.reference_pairs import Collector, UnusableReferenceError
from ..core.rigid import Rigid
from ..core.tag import Tag, TagFinder
from ..recordings import (
    LASER_SCAN,
    POINT_CLOUD,
    Recording,
    RecordingError,
    StaticTransforms,
    find_cameras,
)
from ..recordings.cameras import check_registered
from ..recordings.types import COMPRESSED_IMAGE, IMAGE
from .calibrate_run import CalibrationRun, begin, finish
from .references import (
    DepthReference,
    DistanceReference,
    PointsReference,
    Reference,
    TagReference,
)
from .views import View, check_topic, recorded_views

NANOSECONDS = 10**9


def calibrate_depth(options: argparse.Namespace) -> None:
    """Calibrate by another depth topic of the camera; raises as :func:`calibrate_by`."""
    run = begin(options)
    topic = options.depth or find_cameras(run.recording, options.image)[0].truth
    if topic is None:
        raise CalibrationError(f'{run.recording.name} has no depth in the frame of '
                               f'{run.source.image}: name the topic with --depth')
    check_topic(run.recording, topic, IMAGE, COMPRESSED_IMAGE)
    if topic == options.prediction:
        raise CalibrationError(f'--prediction {topic} is the reference: name another --depth')
    check_registered(run.recording, replace(run.source, truth=topic))
    calibrate_by(DepthReference(), topic, run)


def calibrate_scan(options: argparse.Namespace) -> None:
    """Calibrate by a laser scanner; raises as :func:`calibrate_by`."""
    _by_points(options, LASER_SCAN)


def calibrate_points(options: argparse.Namespace) -> None:
    """Calibrate by a cloud of points; raises as :func:`calibrate_by`."""
    _by_points(options, POINT_CLOUD)


def _by_points(options: argparse.Namespace, kind: str) -> None:
    run = begin(options)
    check_topic(run.recording, options.topic, kind)
    calibrate_by(PointsReference(_place(run, options)), options.topic, run)


def calibrate_distance(options: argparse.Namespace) -> None:
    """Calibrate by measured distances; raises as :func:`calibrate_by`."""
    pixels = [(round(u), round(v)) for u, v, _ in options.at]
    calibrate_by(DistanceReference(options.at, options.straight_line), '', begin(options),
                 [pixels.index(pixel) for pixel in pixels])


def calibrate_tag(options: argparse.Namespace) -> None:
    """Calibrate by AprilTags; raises as :func:`calibrate_by`."""
    finder = TagFinder(Tag(options.size, options.id, options.family))
    run = begin(options)
    calibrate_by(TagReference(finder, options.focal), '', run)


def calibrate_by(reference: Reference, topic: str, run: CalibrationRun,
                 places: Sequence[int] | None = None) -> None:
    """
    Pair depth with a reference over a recording, write calibration.yaml and print what it says.

    :param topic: of the reference, '' where it has none.
    :param places: the number of the place of each pair of an image, where all show the same.
    :raises UnusableReferenceError: when the data support no calibration; nothing is written then.
    """
    run.views = _views(reference, topic, run)
    collector, seen = Collector(places), 0
    with run.over(lambda: seen) as views:
        for view in tqdm(views, desc='images', unit='', disable=None):
            seen += 1
            depth = run.predictor(view)
            if (found := reference.pairs(view, depth, run.camera.lens(view, depth.shape))):
                collector.add(*found)
    if not collector.images:
        raise UnusableReferenceError(_why_none(reference, topic, run, seen))
    fit = fit_reference(collector.pairs, run.predictor.quantity, reference.least)
    _print(fit, run, topic or run.options.reference, seen)
    finish(run, run.options, fit.correction, round(fit.spread, 5),
           _evidence(fit, run, topic, seen))


def _views(reference: Reference, topic: str, run: CalibrationRun) -> Iterator[View]:
    """Yield the views with what the reference needs of each."""
    prediction, tolerance = run.options.prediction, round(run.options.slop * NANOSECONDS)
    if reference.read is not None:
        return recorded_views(run.recording, replace(run.source, truth=topic), prediction,
                              read=reference.read, tolerance=tolerance)
    if not (reference.needs_image and prediction):
        return run.views
    both = recorded_views(run.recording, replace(run.source, truth=prediction),
                          tolerance=tolerance)
    return (replace(view, prediction=view.truth, truth=None) for view in both
            if view.truth is not None)


def _place(run: CalibrationRun, options: argparse.Namespace) -> Rigid:
    """Return where the sensor's frame lies in the camera's optical frame."""
    if options.transform:
        x, y, z, *rotation = options.transform
        try:
            return Rigid.from_quaternion((x, y, z), tuple(rotation))
        except ValueError as error:
            raise CalibrationError(f'--transform: {error}') from error
    return StaticTransforms(run.recording).between(
        _frame(run.recording, run.topic), _frame(run.recording, options.topic))


def _frame(recording: Recording, topic: str) -> str:
    """Return the frame of a topic's first message."""
    for record in recording.records([topic]):
        return str(record.message.header.frame_id)
    raise RecordingError(f'{recording.name}: {topic} holds no message')


def _why_none(reference: Reference, topic: str, run: CalibrationRun, seen: int) -> str:
    within = f'with a stamp within {1000 * run.options.slop:g} ms (--slop)'
    if topic:
        return (f'{run.topic} and {topic} do not overlap: none of {seen} images has a reference '
                f'{within}')
    if reference.needs_image and seen:
        return (f'no tag of family {run.options.family} is seen in any of {seen} images: is it '
                'sharp, with its white border, and at least 20 pixels wide?')
    if reference.needs_image and run.options.prediction:
        return (f'{run.source.image} and {run.options.prediction} do not overlap: no image that '
                f'can be read has depth {within}')
    return f'{run.topic} holds no image that can be read'


def _evidence(fit: ReferenceFit, run: CalibrationRun, topic: str, seen: int) -> dict[str, Any]:
    def rounded(values: dict[str, float]) -> dict[str, float]:
        return {name: round(float(value), 4) for name, value in values.items()}

    return {'method': run.options.reference, 'recording': run.options.recording,
            'topic': run.topic, **({'reference': topic} if topic else {}), 'images': seen,
            'images_with_reference': fit.frames, 'pairs': fit.pairs,
            'nearest': round(fit.nearest, 3), 'farthest': round(fit.farthest, 3),
            'held_out': fit.held_out, 'errors': rounded(dict(fit.errors)),
            'before': rounded(asdict(fit.before)) if fit.before else None,
            'after': rounded(asdict(fit.after))}


def _print(fit: ReferenceFit, run: CalibrationRun, reference: str, seen: int) -> None:
    print(f'{run.topic} by {reference}: {fit.pairs} pairs in {fit.frames} of {seen} images, '
          f'{fit.nearest:.2f} to {fit.farthest:.2f} m')
    where = 'held-out pairs' if fit.held_out else 'the pairs themselves, none could be held out'
    if fit.before:
        print(f'before: {fit.before} ({where})')
    print(f'after: {fit.after} ({where})')
    if fit.before and fit.after.median >= fit.before.median:
        print('nothing is gained: the depth is as good without this calibration')
    tried = ', '.join(f'{error:.2%} with {name}' for name, error in fit.errors.items())
    print(f'relative error of the better 70 %: {tried}')
    if fit.note:
        print(fit.note)
    print(f'taken: {fit.name}; the scale is {fit.correction.scale:.4f}, the shift '
          f'{fit.correction.shift:.4f}, spread {fit.spread:.1%}')
