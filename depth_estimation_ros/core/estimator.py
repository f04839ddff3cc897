# SPDX-License-Identifier: Apache-2.0
"""Depth of camera images: uint8 RGB in, float32 out, at the images' own size."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import groupby
from threading import Lock

import torch

from .backends import check_backend
from .batches import Batch
from .device import end_of_work, resolve_device, start_device
from .device_errors import watched
from .domains import DomainHold
from .errors import CheckpointError, DeviceError, DeviceLostError, ImageError
from .families.base import Family, Quantity
from .families.registry import check_domain
from .frame import Depth, Frame, Image
from .loaded import LoadedModel
from .maps import Maps, download
from .options import EstimatorOptions

__all__ = ['DepthEstimator', 'EstimatorOptions']

LOGGER = logging.getLogger(__name__)

LOST_SHARE = 0.01
"""The share of an image's pixels without a finite depth from which on there is a warning."""

LOST_PERIOD = 60.0
"""Seconds for which that warning is not repeated."""


class DepthEstimator:
    """
    A depth model on its device.

    Not for use from several threads at once, but for :meth:`reconfigure`, :meth:`prepare` and
    what only tells something, which any thread may call beside the one that estimates.
    """

    def __init__(self, options: EstimatorOptions) -> None:
        """
        Load a model, move it to its device and warm it.

        :raises CheckpointError: when the checkpoint is missing, corrupt, or of no family served.
        :raises DeviceError: when the device or the precision is not to be had here.
        """
        self.device = resolve_device(options.device)
        check_backend(options.backend, self.device, options.precision)
        start_device(self.device)
        self.loaded = LoadedModel(options, self.device)
        """What serves."""
        self._successor: LoadedModel | None = None
        self._changing, self._closed = Lock(), False
        self._expected: set[tuple[int, int]] = set()
        """Height and width of the images that :meth:`prepare` was told of."""
        self._stuck: LoadedModel | None = None
        """The model in a low precision beside which fp32 could not be loaded."""
        self._hold = DomainHold()
        self._lost_warned = -LOST_PERIOD

    def estimate(self, images: Sequence[Image | Frame], *, flip: bool = False) -> list[Depth]:
        """
        Estimate the depth of a batch of images or frames, which may differ in size.

        Images with the same network size run as one batch, as far as the memory holds it.

        :param images: each uint8 RGB, H×W×3, or a :class:`~.frame.Frame` of one.
        :param flip: average with the mirrored image's depth, as the original ZoeDepth does.
        :return: for each image float32, H×W, in what :meth:`quantity_of` says, by default metres
            along the optical axis (REP 118); NaN where the network gave no finite value.
        :raises ImageError: when an image has another shape or dtype, or is too small or elongated.
        :raises DeviceError: when the device's memory does not hold one image.
        :raises DeviceLostError: when the device answers no call any more.
        """
        self.adopt()
        return [found.depth for found in download(self.submit(images, flip=flip)())()]

    def submit(self, images: Sequence[Image | Frame], *,
               flip: bool = False) -> Callable[[], list[Maps]]:
        """
        Begin what :meth:`estimate` does; on CUDA it goes on while the caller does other things.

        It adopts nothing, so that whoever submits knows by what range it is served.

        :return: waits for what is estimated of each image and returns it on the device, with
            ``flip`` a confidence too (:func:`~.maps.download` brings it to the host); to be called
            once, before anything else is asked of the estimator.
        """
        frames = [_frame(image) for image in images]
        sizes = [self.network_size(frame) for frame in frames]
        order = sorted(range(len(frames)), key=lambda index: sizes[index])
        with watched(self.device):
            batches = [batch for size, group in groupby(order, key=lambda index: sizes[index])
                       for batch in self.loaded.start(frames, list(group), size, flip)]
            return partial(self._collect, frames, batches, end_of_work(self.device), flip)

    def reconfigure(self, options: EstimatorOptions, *,
                    accept: Callable[[tuple[float, float]], object] = lambda range: None) -> bool:
        """
        Load a model by other options beside the one that serves, which goes on meanwhile.

        It serves from the next :meth:`estimate` or :meth:`adopt` on. Where it cannot be loaded,
        all stays as it is.

        :param options: of the same device; the model may be another.
        :param accept: called with the range of the loaded model; what it raises refuses it.
        :return: False where the estimator was closed meanwhile.
        :raises CheckpointError: as at the start.
        :raises DeviceError: likewise, and where another device is meant.
        """
        if options.device != self.options.device and resolve_device(options.device) != self.device:
            raise DeviceError(f"device '{options.device}' is another than the {self.device} that "
                              'serves: make another estimator for it')
        check_backend(options.backend, self.device, options.precision)
        with ExitStack() as undo:
            loaded = LoadedModel(options, self.device)
            undo.callback(loaded.close)
            accept(loaded.range)
            undo.pop_all()
        with self._changing:
            displaced, self._successor = (loaded, None) if self._closed else (
                self._successor, loaded)
        if displaced is not None:
            displaced.close()
        for size in tuple(self._expected):
            self.prepare(*size)
        return not self._closed

    def adopt(self) -> bool:
        """Let serve what :meth:`reconfigure` has loaded, if anything; return whether it did."""
        with self._changing:
            if self._successor is None:
                return False
            served, self.loaded, self._successor = self.loaded, self._successor, None
        self._hold = DomainHold()
        served.close()
        return True

    def quantity_of(self, image: Image | Frame) -> Quantity:
        """Return what the numbers of a frame's depth are: metres, or something without scale."""
        return self.family.quantity_of(_frame(image))

    def domain_of(self, camera: str) -> tuple[str, int]:
        """Return the domain that serves a camera, '' where none is known, and its changes."""
        held = self._hold.of(camera)
        return ('', 0) if held is None else (self.family.domains[held.head], held.changes)

    def network_size(self, image: Image | Frame) -> tuple[int, int]:
        """
        Return the (height, width) at which the network sees an image.

        :raises ImageError: when the network cannot take it.
        """
        return self.loaded.network_size(_frame(image))

    def prepare(self, height: int, width: int) -> None:
        """
        Make ready for images of a size before one comes, beside the work; returns at once.

        An image that the network cannot take, or without a pixel, is not prepared for.
        """
        if height < 1 or width < 1:
            return
        self._expected.add((height, width))
        with self._changing, suppress(ImageError):
            if not self._closed:
                (self._successor or self.loaded).prepare(height, width)

    def check(self, options: EstimatorOptions) -> None:
        """Raise DepthError when other options of the model cannot be served on this device."""
        check_backend(options.backend, self.device, options.precision)
        check_domain(self.loaded.name, self.family, options.domain)

    @property
    def newest(self) -> LoadedModel:
        """What was loaded last: it serves, or will from the next :meth:`adopt` on."""
        return self._successor or self.loaded

    def describe(self) -> str:
        """Return a line for the log: model, device, precision, network size of a VGA image."""
        return self.newest.describe()

    @property
    def options(self) -> EstimatorOptions:
        """The options by which the newest model was loaded."""
        return self.newest.options

    @property
    def family(self) -> Family:
        """The model in the words of its family."""
        return self.loaded.family

    @property
    def range(self) -> tuple[float, float]:
        """The nearest and farthest depth in metres that the model was trained for."""
        return self.loaded.range

    @property
    def precision(self) -> str:
        """The precision of backbone and neck."""
        return self.loaded.precision

    @property
    def domain(self) -> str:
        """The metric head that serves every image, as the options name it."""
        return self.loaded.options.domain

    @property
    def overlaps(self) -> bool:
        """Whether submitted work goes on beside the caller's own."""
        return self.device.type == 'cuda'

    @property
    def backend(self) -> str:
        """What runs the network for images like the last: 'torch', 'openvino', 'torch.compile'."""
        with self._changing:  # where no model is closed meanwhile
            return self.loaded.planner.backend

    @property
    def building(self) -> bool:
        """Whether a faster network is being built."""
        with self._changing:
            return self.loaded.planner.building

    def settle(self, timeout: float | None = None) -> bool:
        """Wait ``timeout`` s until no faster network is being built; return whether that is so."""
        return self.loaded.planner.settle(timeout)

    @property
    def device_bytes(self) -> int:
        """The memory taken on the CUDA device; 0 on the CPU."""
        return torch.cuda.memory_allocated(self.device) if self.device.type == 'cuda' else 0

    def close(self) -> None:
        """Give the device's memory back; the estimator is of no use afterwards."""
        with self._changing:
            closed, self._closed = self._closed, True
        if closed:
            return
        self.adopt()
        self.loaded.close()

    def _fall_back(self) -> bool:
        """Serve in fp32 from now on; return False, unchanged, where it cannot be had."""
        if self.precision == 'fp32' or self._stuck is self.loaded:
            return False
        LOGGER.warning('precision %s gave no finite depth for a whole image: falling back to '
                       'fp32', self.precision)
        try:
            exact = LoadedModel(self.loaded.options, self.device, exact=True)
        except DeviceLostError:
            raise
        except (CheckpointError, DeviceError) as error:
            LOGGER.error('it stays in %s, since fp32 cannot be had: %s', self.precision, error)
            self._stuck = self.loaded
            return False
        with self._changing:
            served, self.loaded = self.loaded, exact
        served.close()
        return True

    def _collect(self, frames: Sequence[Frame], batches: list[Batch], wait: Callable[[], object],
                 flip: bool) -> list[Maps]:
        """Return what was estimated of submitted images in their order."""
        with watched(self.device):
            wait()
        lost = max((float(batch.told[:, 0].max()) for batch in batches), default=0.0)
        if lost >= 1 and self._fall_back():
            return self.submit(frames, flip=flip)()
        if lost > LOST_SHARE and time.monotonic() - self._lost_warned >= LOST_PERIOD:
            self._lost_warned = time.monotonic()
            LOGGER.warning('the network gave no finite depth for %.0f %% of an image, at %s: they '
                           'are NaN', 100 * lost, self.precision)
        found = {index: (maps, float(preferred), bool(mixed)) for batch in batches
                 for index, maps, (_, preferred, mixed) in zip(
                     batch.indices, batch.maps, batch.told, strict=True)}
        return [self._held(frame, *found[index], flip) for index, frame in enumerate(frames)]

    def _held(self, frame: Frame, found: Maps, preferred: float, mixed: bool,
              flip: bool) -> Maps:
        """Return what the head says that serves the frame's camera."""
        if frame.camera is None or math.isnan(preferred):
            return found
        head = self._hold.choose(frame.camera, int(preferred))
        if head == preferred and not mixed:
            return found
        with watched(self.device):
            return self.loaded.through(frame, head, flip)


def _frame(image: Image | Frame) -> Frame:
    return image if isinstance(image, Frame) else Frame(image)
