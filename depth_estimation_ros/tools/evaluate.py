# SPDX-License-Identifier: Apache-2.0
"""Measure depth against ground truth: a recording's, or that of folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from tqdm import tqdm

from ..calibration_file import CalibrationError, CalibrationFile, CameraKey, read_calibration
from ..core.calibration import same_aspect
from ..core.evaluation.evaluation import MASKED, Evaluation
from ..core.evaluation.protocol import CROPS, Protocol
from ..core.families.base import Quantity
from ..core.reference_pairs import Pixels, nearest_pixels
from ..offline.command import run_command, stats, whole
from ..recordings import find_cameras, open_recording
from ..recordings.cameras import check_registered
from ..report import write_page
from ..report.evaluated import evaluation_page
from ..resources import DEMO_MODEL
from . import evaluation_report
from .depth_folders import PER_METRE
from .views import Depth, Predictor, View, camera_key, folder_views, lens_of, recorded_views


class EvaluationError(ValueError):
    """Depth and truth that cannot be compared; the text says why and what to do."""


@dataclass
class Source:
    """Where views come from, and what is to be said of them."""

    views: Iterator[View]
    image: str
    """What the images, or the predictions, are."""
    truth: str
    model: str
    """The model, or what its depth was read from."""
    warnings: list[str] = field(default_factory=list)
    rule: str = 'a stamp within 20 ms'
    """What an image and its truth must have in common."""


@dataclass
class Run:
    """Compares view after view, without alignment and with it."""

    protocol: Protocol
    predictor: Predictor
    calibration: CalibrationFile | None = None
    masked: str = ''
    """Where masks of objects come from; '' is nowhere."""
    seen: int = 0
    """How many views there were, with truth or without."""
    example: tuple[NDArray[np.uint8] | None, Depth, Depth] | None = None
    """The middle view's image, prediction and truth."""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plain = Evaluation(self.protocol)
        self.aligned = Evaluation(Protocol(self.protocol.crop, True, self.protocol.near,
                                           self.protocol.far))

    def over(self, source: Source, most: int) -> None:
        """
        Compare the views that have truth.

        :param most: so many views with truth at most; 0 is all.
        :raises EvaluationError: when nothing can be compared.
        """
        for view in tqdm(source.views, desc='images', unit='', disable=None):
            self.seen += 1
            if view.truth is not None:
                self._add(view, source)
            if most and len(self.plain.images) >= most:
                break
        if fault := self._fault(source):
            raise EvaluationError(fault)

    def _add(self, view: View, source: Source) -> None:
        assert view.truth is not None
        prediction = self.predictor(view)
        if self.calibration is not None:
            self.calibration.check(source.model, _key(view, prediction, self.calibration),
                                   network=self.predictor.network)
            prediction = self.calibration.correction(prediction)
        sized = self._sized(prediction, view.truth, view.name)
        objects = None if view.objects is None else self._sized(
            view.objects, view.truth, view.name, 'a mask')
        self.plain.add(sized, view.truth, objects)
        self.aligned.add(sized, view.truth, objects)
        number = len(self.plain.images)
        is_due = self.example is None or number & (number - 1) == 0
        if is_due and (np.isfinite(view.truth) & (view.truth > 0)).any():
            self.example = view.image, sized, view.truth

    def _sized(self, prediction: Pixels, truth: Depth, name: str, what: str = 'depth') -> Pixels:
        """Return a prediction, or what else belongs to it, at the truth's size."""
        if prediction.shape == truth.shape:
            return prediction
        (height, width), (rows, columns) = prediction.shape, truth.shape
        if not same_aspect((width, height), (columns, rows)):
            raise EvaluationError(f'{name}: {what} of {width}x{height} and truth of '
                                  f'{columns}x{rows} are not of one view')
        note = (f'{what} of {width}x{height} is resized to the {columns}x{rows} of the truth, '
                'by the nearest pixel')
        if note not in self.notes:
            self.notes.append(note)
        return nearest_pixels(prediction, (rows, columns))

    def _fault(self, source: Source) -> str:
        """Return why there is nothing to report, if so."""
        if not self.plain.images:
            return (f'{source.image} and {source.truth} do not overlap: none of '
                    f'{self.seen} images has truth with {source.rule}')
        if not self.plain.known:
            return (f'the truth of {source.truth} has no valid pixel in any of '
                    f'{len(self.plain.images)} images, with {self.protocol.describe()}')
        if self.masked and not any(MASKED[0] in sums for sums in self.plain.images):
            return f'{self.masked} has a mask for none of {len(self.plain.images)} images'
        if not self.plain.coverage:
            return f'the depth of {source.image} has no valid pixel where there is truth'
        return self.plain.unit_fault()


def _key(view: View, prediction: Depth, calibration: CalibrationFile) -> CameraKey | None:
    """Return a view's camera; one whose lens is not known is taken to have the right one."""
    lens = lens_of(view, prediction.shape, calibration.camera.fx)
    return camera_key(lens, prediction.shape) if lens else None


def open_source(options: argparse.Namespace) -> Source:
    """
    Open what the command line names.

    :raises RecordingError: when it is not there, or holds no camera.
    :raises EvaluationError: when something is missing on the command line.
    """
    if any(name and Path(name).is_dir() for name in (options.depth, options.prediction)):
        return _folders(options)
    recording = open_recording(options.recording)
    camera = find_cameras(recording, options.image, options.depth)[0]
    if camera.truth is None:
        raise EvaluationError(f'{recording.name} has no depth in the frame of {camera.image}: '
                              'name the topic with --depth')
    if options.prediction == camera.truth:
        raise EvaluationError(f'--prediction {camera.truth} is the truth: name another --depth')
    check_registered(recording, camera)
    return Source(recorded_views(recording, camera, options.prediction, mask=options.mask),
                  options.prediction or camera.image, camera.truth,
                  options.model or options.prediction or DEMO_MODEL, recording.warnings)


def _folders(options: argparse.Namespace) -> Source:
    if not options.convention:
        raise EvaluationError('folders need --convention nyu, kitti or tum')
    if not options.depth or not Path(options.depth).is_dir():
        raise EvaluationError(f"--depth must be the folder of the truth, '{options.depth}' is not")
    predictions = Path(options.prediction) if options.prediction else None
    warnings: list[str] = []
    views = folder_views(Path(options.recording), Path(options.depth), options.convention,
                         predictions, Path(options.mask) if options.mask else None,
                         warnings=warnings)
    return Source(views, options.prediction or options.recording, options.depth,
                  options.model or options.prediction or DEMO_MODEL, warnings,
                  rule='a name within 20 ms' if options.convention == 'tum' else
                  'the same numbers in its name')


def evaluate(options: argparse.Namespace) -> int:
    """
    Compare, print the table and write the files; return the exit code.

    :raises EvaluationError: when nothing can be compared; nothing is written then.
    """
    source = open_source(options)
    calibration = read_calibration(options.calibration) if options.calibration else None
    run = Run(Protocol(options.crop, False, options.near, options.far),
              _predictor(options, calibration), calibration, options.mask)
    try:
        with stats(options.stats, lambda: run.seen):
            run.over(source, options.frames)
    finally:
        run.predictor.close()
        for text in source.warnings:
            print(f'evaluate: {text}', file=sys.stderr)
    figures = _figures(source, run, options)
    assert run.example is not None
    evaluation_report.write(options.output, figures, evaluation_report.draw(
        run.plain, *run.example))
    if options.html:
        write_page(evaluation_page(figures, run.plain, run.example), options.html)
    _print(source, run, options)
    return 0


def _predictor(options: argparse.Namespace, calibration: CalibrationFile | None) -> Predictor:
    """Return what gives metres, or what the calibration makes metres of."""
    if calibration is None:
        return Predictor(options.model or DEMO_MODEL, options.device, wanted=Quantity.METRES,
                         size=(options.height, options.width))
    return Predictor(options.model or DEMO_MODEL, options.device,
                     domain=calibration.domain or 'auto', size=(options.height, options.width),
                     wanted=calibration.correction.quantity)


def _figures(source: Source, run: Run, options: argparse.Namespace) -> dict[str, Any]:
    return {'source': options.recording, 'image': source.image, 'truth': source.truth,
            'model': source.model,
            'calibration': str(options.calibration) if options.calibration else None,
            'images_without_truth': run.seen - len(run.plain.images), 'notes': run.notes,
            **evaluation_report.summary(run.plain, run.aligned)}


def _print(source: Source, run: Run, options: argparse.Namespace) -> None:
    print(f'{source.model} on {source.image}, truth {source.truth}: {len(run.plain.images)} '
          f'images with truth, {run.seen - len(run.plain.images)} without; '
          f'{run.plain.coverage:.1%} of the truth has a prediction; '
          f'truth / prediction {run.plain.median_ratio:.3f} (median)')
    for note in run.notes:
        print(f'note: {note}')
    Console(width=110).print(evaluation_report.table(run.plain, run.aligned,
                                                     pooled=options.pooled))
    print(f'Written: {options.output}/evaluation.json, {options.output}/evaluation.png')


def main(args: list[str] | None = None) -> int:
    """Run from the command line."""
    options = _parser().parse_args(args)
    return run_command('evaluate', lambda: evaluate(options), goes_on=False,
                       faults=(EvaluationError, CalibrationError))


def _metres(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise ValueError(text)
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='evaluate', description=__doc__)
    parser.add_argument('recording', help='a recording of any kind, or a folder of images')
    parser.add_argument('--image', default='', help="the recording's image topic; without it the "
                        'first rectified or colour one')
    parser.add_argument('--depth', default='', help="the truth: the recording's depth topic, "
                        "without it one in the image's frame; or a folder")
    parser.add_argument('--convention', choices=tuple(PER_METRE), help='of folders: what a metre '
                        'is in 16-bit PNG, 1000, 256 or 5000, and how names are matched')
    parser.add_argument('--prediction', default='', help='a depth topic, or a folder of maps, to '
                        'take in place of running the model')
    parser.add_argument('--mask', default='', help='a topic or folder of masks: errors of '
                        'objects, where a pixel is not 0, and of the background are told apart')
    parser.add_argument('--model', default='', help='hub id, folder, or demo, the default; with '
                        '--prediction the name of what made it')
    parser.add_argument('--height', type=whole, default=0, help='rows that the network sees, as '
                        "the node's network.height")
    parser.add_argument('--width', type=whole, default=0, help='columns, as network.width')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--calibration', type=Path, help='a calibration.yaml to apply first')
    parser.add_argument('--crop', choices=tuple(CROPS), default='none')
    parser.add_argument('--near', type=_metres, help='cap: metres; nearer truth is left out')
    parser.add_argument('--far', type=_metres, help='cap: metres; farther truth is left out')
    parser.add_argument('--pooled', action='store_true', help='print errors over the pixels of '
                        'all images together rather than their mean over the images')
    parser.add_argument('--frames', type=whole, default=0, help='so many images at most; 0 is all')
    parser.add_argument('--output', type=Path, default=Path('evaluation_output'))
    parser.add_argument('--html', type=Path, metavar='FILE', help='a page to write as well')
    parser.add_argument('--stats', action='store_true', help='print time and peak memory')
    return parser


if __name__ == '__main__':
    sys.exit(main())
