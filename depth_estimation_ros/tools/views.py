# SPDX-License-Identifier: Apache-2.0
"""What evaluate and calibrate look at: images with their depth, from recordings and folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..calibration_file import CameraKey
from ..core.calibration import Calibration
from ..core.errors import CheckpointError
from ..core.estimator import DepthEstimator, EstimatorOptions
from ..core.families.base import Quantity
from ..core.frame import Frame
from ..core.pinhole import Pinhole
from ..recordings import Camera, Recording, RecordingError, Shot, metres, shots
from ..resources import model_folder
from ..ros import codec
from ..ros.camera_info import RECTIFIED, calibration_of
from .camera import moment_of
from .depth_folders import PER_METRE, files_in, matched, read_depth, read_rgb

Depth = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """One moment of a camera."""

    name: str
    image: NDArray[np.uint8] | None = None
    """RGB, H×W×3; None where the prediction is recorded."""
    prediction: Depth | None = None
    """A model's map in its own unit, where it is recorded."""
    truth: Depth | None = None
    """Metres, NaN where unknown."""
    lens: Calibration | None = None
    """The calibration of the camera."""


def recorded_views(recording: Recording, camera: Camera, prediction: str = '') -> Iterator[View]:
    """
    Yield a camera's moments; broken images are passed over and named in the warnings.

    :param prediction: a depth topic to take in place of the image.
    """
    if prediction and prediction not in recording.channels:
        raise RecordingError(f'{recording.name} has no topic {prediction}; it has '
                             f'{", ".join(sorted(recording.channels))}')
    source = replace(camera, image=prediction) if prediction else camera
    for number, shot in enumerate(shots(recording, source)):
        truth = _truth(recording, shot)
        try:
            yield replace(_view(shot, is_depth=bool(prediction)), truth=truth,
                          name=f'{source.image} {number}')
        except (codec.CodecError, RecordingError) as error:
            recording.warn(f'{recording.name}: {source.image}: {error}')


def _truth(recording: Recording, shot: Shot) -> Depth | None:
    """Return a moment's truth; one that is broken is named in the warnings."""
    if shot.truth is None:
        return None
    try:
        return metres(shot.truth.message)
    except RecordingError as error:
        recording.warn(f'{recording.name}: {shot.truth.topic}: {error}')
        return None


def _view(shot: Shot, *, is_depth: bool) -> View:
    lens = calibration_of(shot.info.message) if shot.info else None
    if is_depth:
        return View('', prediction=metres(shot.image.message), lens=lens)
    return View('', codec.decode(moment_of(replace(shot, truth=None)).image), lens=lens)


def folder_views(images: Path, truths: Path, convention: str,
                 predictions: Path | None = None) -> Iterator[View]:
    """
    Yield the images of a folder that have depth in another.

    :param convention: a name in PER_METRE.
    :param predictions: a folder of maps to take in place of the images.
    """
    seen = images if predictions is None else predictions
    for file, truth in matched(files_in(seen), files_in(truths), convention):
        depth = read_depth(truth, PER_METRE[convention])
        if predictions is None:
            yield View(file.name, read_rgb(file), None, depth)
        else:
            yield View(file.name, None, read_depth(file, PER_METRE[convention]), depth)


class Predictor:
    """Gives each view its map: the recorded one, or a model's; loads the model on first use."""

    def __init__(self, model: str, device: str, *, only_metres: bool) -> None:
        """
        Load nothing yet.

        :param only_metres: refuse a model whose numbers are not metres; else one whose are.
        """
        self._model, self._device, self._only_metres = model, device, only_metres
        self._estimator: DepthEstimator | None = None

    def __call__(self, view: View) -> Depth:
        """Return a view's map in the model's unit."""
        if view.prediction is not None:
            return view.prediction
        assert view.image is not None
        if self._estimator is None:
            self._estimator = DepthEstimator(EstimatorOptions(
                model=model_folder(self._model), device=self._device,
                only_metres=self._only_metres))
            if not self._only_metres and self._estimator.family.quantity is Quantity.METRES:
                raise CheckpointError(f"model '{self._model}' gives metres: leave out --relative, "
                                      'or a calibration that was made with it')
        fx = None
        if view.lens is not None:
            height, width = view.image.shape[:2]
            lens = lens_of(view, '', (height, width), None)
            fx = None if lens is None else lens.fx
        return self._estimator.estimate([Frame(view.image, fx)])[0]

    def close(self) -> None:
        """Give the model's memory back."""
        if self._estimator is not None:
            self._estimator.close()


def lens_of(view: View, topic: str, shape: tuple[int, ...], focal: float | None) -> Pinhole | None:
    """
    Return the pinhole camera of a depth map; None where it is not known.

    :param topic: of the image; P is taken for a rectified one, K otherwise.
    :param shape: of the map.
    :param focal: fx in pixels of the map, to take where the camera is not calibrated.
    """
    height, width = shape
    if view.lens is not None and view.lens.is_calibrated:
        fitting = view.lens.of_image((width, height))
        k = fitting.k
        if RECTIFIED.search(topic) and fitting.p[0] and fitting.p[5]:
            k = (*fitting.p[0:3], *fitting.p[4:7], *fitting.p[8:11])
        return Pinhole(k[0], k[4], k[2], k[5])
    return Pinhole(focal, focal, (width - 1) / 2, (height - 1) / 2) if focal else None


def camera_key(lens: Pinhole, shape: tuple[int, ...]) -> CameraKey:
    """Return what a calibration recognises the camera by."""
    return CameraKey(shape[1], shape[0], round(lens.fx, 2))
