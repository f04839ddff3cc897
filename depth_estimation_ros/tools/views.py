# SPDX-License-Identifier: Apache-2.0
"""What evaluate and calibrate look at: images with their depth, from recordings and folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration_file import CalibrationError, CameraKey
from ..core.calibration import Calibration
from ..core.errors import CheckpointError
from ..core.estimator import DepthEstimator, EstimatorOptions
from ..core.families.base import Quantity, Size
from ..core.frame import Frame
from ..core.pinhole import Pinhole
from ..recordings import Camera, Recording, RecordingError, Shot, metres, shots
from ..recordings.recording import MOST_WARNINGS
from ..recordings.shots import TOLERANCE
from ..resources import model_folder
from ..ros import codec
from ..ros.bits import BitsInUse
from ..ros.camera_info import RECTIFIED, calibration_of
from ..ros.decoder import CameraDecoder
from .depth_folders import PER_METRE, files_in, matched, read_depth, read_rgb
from .masks import Mask, mask_of, read_mask

Depth = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """One moment of a camera."""

    name: str
    image: NDArray[np.uint8] | None = None
    """RGB, H×W×3; None where the prediction is recorded."""
    prediction: Depth | None = None
    """A model's map in its own unit, where it is recorded."""
    truth: NDArray[Any] | None = None
    """What another sensor knows, in metres: depth, H×W, NaN where unknown; or points in that
    sensor's frame, N×3."""
    lens: Calibration | None = None
    """The calibration of the camera."""
    objects: Mask | None = None
    """Which pixels show objects, where a mask is named."""


def recorded_views(recording: Recording, camera: Camera, prediction: str = '', *,
                   mask: str = '', read: Callable[[Any], NDArray[Any]] = metres,
                   tolerance: int = TOLERANCE) -> Iterator[View]:
    """
    Yield a camera's moments; broken images are passed over and named in the warnings.

    :param prediction: a depth topic to take in place of the image.
    :param mask: a topic of masks of objects.
    :param read: makes an array of a message of the camera's truth.
    :param tolerance: nanoseconds between an image and its truth, at most.
    """
    for topic in filter(None, (prediction, mask)):
        check_topic(recording, topic)
    source = replace(camera, image=prediction) if prediction else camera
    moments = shots(recording, source, tolerance=tolerance)
    masks = shots(recording, replace(source, truth=mask)) if mask else repeat(None)
    decoder = CameraDecoder(source.image, codec.decode)
    for number, (shot, masked) in enumerate(zip(moments, masks)):
        truth = _truth(recording, shot, read)
        objects = _truth(recording, masked, mask_of) if masked else None
        try:
            yield replace(_view(shot, None if prediction else decoder), truth=truth,
                          objects=objects, name=f'{source.image} {number}')
        except (codec.CodecError, RecordingError) as error:
            recording.warn(f'{recording.name}: {source.image}: {error}')


def check_topic(recording: Recording, topic: str, *kinds: str) -> None:
    """Raise RecordingError where a recording has no such topic, or of none of these types."""
    if topic in recording.channels and (not kinds or recording.topics[topic] in kinds):
        return
    fitting = sorted(name for name, kind in recording.topics.items() if not kinds or kind in kinds)
    raise RecordingError(f'{recording.name} has no topic {topic}'
                         f'{" of type " + " or ".join(kinds) if kinds else ""}; it has '
                         f'{", ".join(fitting) or "none"}')


def _truth(recording: Recording, shot: Shot,
           read: Callable[[Any], NDArray[Any]]) -> NDArray[Any] | None:
    """Return a moment's truth; one that is broken is named in the warnings."""
    if shot.truth is None:
        return None
    try:
        return read(shot.truth.message)
    except RecordingError as error:
        recording.warn(f'{recording.name}: {shot.truth.topic}: {error}')
        return None


def _view(shot: Shot, decoder: CameraDecoder | None) -> View:
    lens = calibration_of(shot.info.message) if shot.info else None
    if decoder is None:
        return View('', prediction=metres(shot.image.message), lens=lens)
    return View('', decoder(shot.image.message), lens=lens)


def folder_views(images: Path, truths: Path, convention: str,
                 predictions: Path | None = None, masks: Path | None = None, *,
                 warnings: list[str]) -> Iterator[View]:
    """
    Yield the images of a folder; nothing more is read of one without depth in the other.

    Files that cannot be read are passed over.

    :param convention: a name in PER_METRE.
    :param predictions: a folder of maps to take in place of the images.
    :param masks: a folder of masks of objects.
    :param warnings: takes in what cannot be read.
    :raises RecordingError: when no view can be read.
    """
    per_metre, bits, found = PER_METRE[convention], BitsInUse(str(images)), False
    read = partial(_or_warn, warnings)
    files = files_in(images if predictions is None else predictions)
    marks = dict(matched(files, files_in(masks), convention)) if masks else {}
    for file, truth in matched(files, files_in(truths), convention):
        depth = read(read_depth, truth, per_metre)
        if depth is None:
            yield View(file.name)
            continue
        view = View(file.name, truth=depth, objects=read(read_mask, marks.get(file)))
        if predictions is None:
            view = replace(view, image=read(read_rgb, file, bits))
        else:
            view = replace(view, prediction=read(read_depth, file, per_metre))
        if view.image is not None or view.prediction is not None:
            found = True
            yield view
    if warnings and not found:
        fault = warnings[0]
        warnings.clear()
        raise RecordingError(fault)


def _or_warn(warnings: list[str], read: Callable[..., Any], path: Path | None, *args: Any) -> Any:
    """Return what a file holds; None where there is none, or, with a warning, it is damaged."""
    try:
        return None if path is None else read(path, *args)
    except RecordingError as error:
        if len(warnings) < MOST_WARNINGS:
            warnings.append(str(error))
        return None


class Predictor:
    """Gives each view its map: the recorded one, or a model's; loads the model on first use."""

    def __init__(self, model: str, device: str, *, domain: str = 'auto',
                 size: tuple[int, int] = (0, 0), wanted: Quantity | None = None,
                 recorded: Quantity = Quantity.METRES) -> None:
        """
        Load nothing yet.

        :param size: rows and columns that the network sees; 0 as for the node's parameters.
        :param domain: the metric head of a model with several.
        :param wanted: refuse a model that gives another quantity; None takes any.
        :param recorded: what the recorded maps are.
        """
        self._options = EstimatorOptions(
            model=model_folder(model), device=device, domain=domain, height=size[0],
            width=size[1], consistent=True,
            only_metres=wanted is Quantity.METRES)
        self._model, self._wanted, self.quantity = model, wanted, recorded
        """The last: what the maps are, once there was one."""
        self._estimator: DepthEstimator | None = None
        self.network = ''
        """The size at which the network saw the last image; '' for maps that are recorded."""

    def __call__(self, view: View) -> Depth:
        """Return a view's map in the model's unit."""
        if view.prediction is not None:
            return view.prediction
        assert view.image is not None
        if self._estimator is None:
            self._estimator = self._loaded()
        fx = None
        if view.lens is not None:
            height, width = view.image.shape[:2]
            lens = view.lens.pinhole_of((width, height))
            fx = None if lens is None else lens.fx
        frame = Frame(view.image, fx)
        self.network = str(Size(*self._estimator.network_size(frame)))
        return self._estimator.estimate([frame])[0]

    def _loaded(self) -> DepthEstimator:
        estimator = DepthEstimator(self._options)
        self.quantity = estimator.family.quantity
        if self._wanted not in (None, self.quantity):
            estimator.close()
            raise CheckpointError(f"model '{self._model}' gives {self.quantity.value}, and the "
                                  f'calibration takes {self._wanted.value}')
        return estimator

    @property
    def domain(self) -> str:
        """The metric head as the node's parameter names it; '' for a model without a choice."""
        if self._estimator is None or not self._estimator.family.domains:
            return ''
        return self._options.domain

    def close(self) -> None:
        """Give the model's memory back."""
        if self._estimator is not None:
            self._estimator.close()


@dataclass
class OneCamera:
    """Makes sure that all views are of one calibrated camera."""

    topic: str
    """Of the images, or of their depth."""
    focal: float | None
    """fx in pixels of the map, to take where the recording does not tell it."""
    key: CameraKey | None = None
    """What the camera is recognised by, once there was a view."""
    distorted: bool = False
    """Whether images were not rectified."""

    def lens(self, view: View, shape: tuple[int, ...]) -> Pinhole:
        """
        Return the pinhole camera of a view's map.

        :param shape: of the map.
        :raises CalibrationError: when the camera is not calibrated, or is another one suddenly.
        """
        lens = lens_of(view, shape, self.focal)
        if lens is None:
            raise CalibrationError(f'{view.name} has no camera_info with P or K: name the focal '
                                   'length in pixels with --focal')
        key = camera_key(lens, shape)
        if self.key and (difference := self.key.mismatch(key)):
            raise CalibrationError(f'{view.name}: the camera changes: {difference}')
        self.key = self.key or key
        self.distorted |= (view.lens is not None and not RECTIFIED.search(self.topic)
                           and not view.lens.is_undistorted)
        return lens


def lens_of(view: View, shape: tuple[int, ...], focal: float | None) -> Pinhole | None:
    """
    Return the pinhole camera of a depth map; None where it is not known.

    :param shape: of the map.
    :param focal: fx in pixels of the map, to take where the camera is not calibrated.
    """
    height, width = shape
    if view.lens is not None and (known := view.lens.pinhole_of((width, height))):
        return known
    return Pinhole(focal, focal, (width - 1) / 2, (height - 1) / 2) if focal else None


def camera_key(lens: Pinhole, shape: tuple[int, ...]) -> CameraKey:
    """Return what a calibration recognises the camera by."""
    return CameraKey(shape[1], shape[0], round(lens.fx, 2))
