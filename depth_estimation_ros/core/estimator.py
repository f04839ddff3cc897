# SPDX-License-Identifier: Apache-2.0
"""Depth of camera images: uint8 RGB in, float32 out, at the images' own size."""

import gc
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch

from . import device_constants, precision
from .backends import check_backend, choose_backends
from .batches import Batch, BatchRunner
from .checkpoint import Checkpoint, read_checkpoint
from .device import resolve_device, start_device
from .device_errors import explain, explained, is_out_of_memory, watched
from .domains import DomainHold
from .errors import CheckpointError, DeviceError, DeviceLostError, ImageError
from .families.base import Family, Quantity
from .families.registry import check_domain, load_family
from .frame import Depth, Frame, Image
from .running.guard import GUARD
from .running.planner import Planner
from .running.shape import MAX_GRAPH_BATCH, Size

LOGGER = logging.getLogger(__name__)

ROUNDING = 16
"""Pixels by which a side differs at most from what was asked for, where it is rounded only."""

LOST_SHARE = 0.01
"""The share of an image's pixels without a finite depth from which on there is a warning."""

LOST_PERIOD = 60.0
"""Seconds for which that warning is not repeated."""


@dataclass(frozen=True)
class EstimatorOptions:
    """How to load and run a model."""

    model: str = 'Intel/zoedepth-nyu-kitti'
    """A folder, or an id on the Hugging Face hub."""
    revision: str = 'main'
    """The hub's branch, tag or commit."""
    local_files_only: bool = False
    """Never ask the hub, only its cache on this machine."""
    device: str = 'auto'
    """'auto', 'cpu', 'cuda' or 'cuda:N'."""
    precision: str = 'auto'
    """'auto', 'fp32', 'bf16' or 'fp16'."""
    height: int = 0
    """Rows that the network sees; 0 takes the checkpoint's own, or follows the width."""
    width: int = 0
    """Columns that the network sees; 0 takes the checkpoint's own, or follows the height."""
    backend: str = 'auto'
    """'auto', 'torch' or 'openvino'; auto takes OpenVINO on the CPU where it is installed."""
    compile: bool = False
    """Build with torch.compile too, and use it where it is faster."""
    domain: str = 'auto'
    """The metric head that serves every image, 'nyu' or 'kitti'; 'auto' lets the model choose."""
    only_metres: bool = False
    """Refuse models and frames whose depth is not in metres."""
    consistent: bool = False
    """Refuse frames whose depth would be of another quantity than the model gives as a rule."""


class DepthEstimator:
    """A depth model on its device. Not for use from several threads at once."""

    def __init__(self, options: EstimatorOptions) -> None:
        """
        Load a model, move it to its device and warm it.

        :raises CheckpointError: when the checkpoint is missing, corrupt, or of no family served.
        :raises DeviceError: when the device or the precision is not to be had here.
        """
        self.options = options
        self.device = resolve_device(options.device)
        check_backend(options.backend, self.device, options.precision)
        start_device(self.device)
        self._checkpoint = read_checkpoint(options.model, revision=options.revision,
                                           local_files_only=options.local_files_only)
        self.name = self._checkpoint.name
        self.family = self._loaded(self._checkpoint)
        if options.only_metres and self.family.quantity is not Quantity.METRES:
            raise CheckpointError(f"model '{self.name}' gives {self.family.quantity.value}, which "
                                  'has no scale: take a checkpoint that gives metres '
                                  '(docs/models.md), such as Intel/zoedepth-nyu-kitti, or '
                                  'calibrate it (docs/evaluation.md)')
        self.parameters = sum(weight.numel() for weight in self.family.network.parameters())
        self.range = self.family.range or (0.0, math.inf)
        """The nearest and farthest depth in metres that the model was trained for."""
        self.precision = 'fp32'
        self.precision_error: float | None = None
        """The mean relative error of the chosen low precision against fp32, where measured."""
        self._runner = BatchRunner(self.device, self.family)
        self._hold = DomainHold()
        self._limits: dict[Size, int] = {}
        """The largest batch of the network that the memory holds, where one was too large."""
        self._lost_warned = -LOST_PERIOD
        self._may_fall_back = True
        """Whether fp32 can still be had; False once it could not be loaded beside what serves."""
        with self._starting():
            self._planner = self._placed()
            self._choose_precision(options.precision)
            self._accelerate()

    def estimate(self, images: Sequence[Image | Frame], *, flip: bool = False) -> list[Depth]:
        """
        Estimate the depth of a batch of images or frames, which may differ in size.

        Images with the same network size run as one batch. Where the device's memory does not
        hold it, CUDA graphs are dropped, then the batch is halved, for good.

        :param images: each uint8 RGB, H×W×3, or a :class:`~.frame.Frame` of one.
        :param flip: average with the mirrored image's depth, as the original ZoeDepth does.
        :return: for each image float32, H×W, in what :meth:`quantity_of` says, by default metres
            along the optical axis (REP 118); NaN where the network gave no finite value.
        :raises ImageError: when an image has another shape or dtype, or is too small or elongated.
        :raises DeviceError: when the device's memory does not hold one image.
        :raises DeviceLostError: when the device answers no call any more.
        """
        return self.submit(images, flip=flip)()

    def submit(self, images: Sequence[Image | Frame], *,
               flip: bool = False) -> Callable[[], list[Depth]]:
        """
        Begin what :meth:`estimate` does; on CUDA it goes on while the caller does other things.

        :return: waits for the depth and returns it; to be called once, before anything else is
            asked of the estimator.
        """
        frames = [_frame(image) for image in images]
        sizes = [self.network_size(frame) for frame in frames]
        order = sorted(range(len(frames)), key=lambda index: sizes[index])
        with watched(self.device):
            batches = [batch for size, group in groupby(order, key=lambda index: sizes[index])
                       for batch in self._start(frames, list(group), size, flip)]
            return partial(self._collect, frames, batches, self._runner.end_of_work(), flip)

    def quantity_of(self, image: Image | Frame) -> Quantity:
        """Return what the numbers of a frame's depth are: metres, or something without scale."""
        return self.family.quantity_of(_frame(image))

    def domain_of(self, camera: str) -> tuple[str, int]:
        """Return the domain that serves a camera, '' where none is known, and its changes."""
        held = self._hold.of(camera)
        return ('', 0) if held is None else (self.family.domains[held.head], held.changes)

    @property
    def overlaps(self) -> bool:
        """Whether submitted work goes on beside the caller's own."""
        return self.device.type == 'cuda'

    def network_size(self, image: Image | Frame) -> tuple[int, int]:
        """
        Return the (height, width) at which the network sees an image.

        :raises ImageError: when the network cannot take it.
        """
        frame = _frame(image)
        pixels = frame.image
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ImageError(f'expected an HxWx3 uint8 RGB image, not {pixels.dtype} of shape '
                             f'{"x".join(map(str, pixels.shape))}')
        if self.family.needs_prompt and frame.prompt is None:
            raise ImageError(f"model '{self.name}' needs another sensor's depth as a prompt, and "
                             'none has come')
        if (self.options.only_metres or self.options.consistent) and (
                self.quantity_of(frame) is not self.family.quantity):
            raise ImageError(f"model '{self.name}' gives metres only with the camera's focal "
                             "length, and no camera_info has come: remap it to the camera's")
        return self.family.size(*pixels.shape[:2])

    def prepare(self, height: int, width: int) -> None:
        """
        Make ready for images of a size before one comes, beside the work; returns at once.

        Any thread may call it. An image that the network cannot take is not prepared for.
        """
        if self.family.native and not self.family.needs_prompt:
            with suppress(ImageError):
                self._planner.prepare_size(self.family.size(height, width))

    def describe(self) -> str:
        """Return a line for the log: model, device, precision, network size of a VGA image."""
        image = precision.sample_images()[0]
        rows, columns = self.family.size(*image.shape[:2])
        error = '' if self.precision_error is None else (
            f' ({self.precision_error:.2%} from fp32)')
        asked = self.options.height or rows, self.options.width or columns
        kept = '' if max(abs(asked[0] - rows), abs(asked[1] - columns)) <= ROUNDING else (
            f' (not {asked[1]}x{asked[0]}: the image keeps its proportion)')
        return (f'{self.name}: {self.parameters / 1e6:.1f} M parameters on {self.device_name}, '
                f'{self.precision}{error}, network {columns}x{rows}{kept} for images of '
                f'{image.shape[1]}x{image.shape[0]}')

    @property
    def device_name(self) -> str:
        """The device in words."""
        if self.device.type == 'cuda':
            return f'{self.device} ({torch.cuda.get_device_name(self.device)})'
        return f'{self.device} ({torch.get_num_threads()} threads)'

    def check(self, options: EstimatorOptions) -> None:
        """Raise DepthError when other options cannot be served on this device, by this model."""
        check_backend(options.backend, self.device, options.precision)
        check_domain(self.name, self.family, options.domain)

    @property
    def backend(self) -> str:
        """What runs the network for images like the last: 'torch', 'openvino', 'torch.compile'."""
        return self._planner.backend

    @property
    def building(self) -> bool:
        """Whether a faster network is being built."""
        return self._planner.building

    def settle(self, timeout: float | None = None) -> bool:
        """Wait ``timeout`` s until no faster network is being built; return whether that is so."""
        return self._planner.settle(timeout)

    def close(self) -> None:
        """Give the device's memory back; the estimator is of no use afterwards."""
        self._planner.close()
        del self._planner
        device_constants.forget()
        GUARD.run_soon(partial(_free_unused, self.device))

    @property
    def device_bytes(self) -> int:
        """The memory taken on the CUDA device; 0 on the CPU."""
        return torch.cuda.memory_allocated(self.device) if self.device.type == 'cuda' else 0

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Release what was made where the start fails."""
        try:
            with self._alone():
                yield
        except BaseException:
            if hasattr(self, '_planner'):
                self._planner.close()
            raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads from capturing meanwhile; say in one line what the device says."""
        with (GUARD.hold() if self.device.type == 'cuda' else nullcontext(),
              explained(self.device), watched(self.device)):
            yield

    def _loaded(self, checkpoint: Checkpoint) -> Family:
        return load_family(checkpoint, self.options.height, self.options.width,
                           domain=self.options.domain)

    def _placed(self) -> Planner:
        try:
            network: Any = self.family.network
            network.to(self.device, memory_format=torch.channels_last)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(f'{self.device_name} has no room for {self.name} '
                              f'({self.parameters / 1e6:.0f} M parameters): {explain(error)}'
                              ) from error
        return Planner(network)

    def _choose_precision(self, wanted: str) -> None:
        """Take the first precision whose depth stays near that of fp32, and warm the model."""
        candidates = precision.candidates(wanted, self.device) if self.family.native else []
        frames = self._samples()[:None if candidates else 1]
        references = self._depths(frames)
        if not all(np.isfinite(reference).any() for reference in references):
            raise CheckpointError(f"model '{self.name}' gives no finite depth at fp32: its "
                                  'weights are damaged')
        for name in candidates:
            exact, self._planner = self._planner, Planner(
                precision.lowered(self._planner.model, precision.PRECISIONS[name],
                                  self.family.float32))
            error = precision.deviation(self._depths(frames), references)
            if error.within(precision.MAX_DEVIATION):
                exact.close()
                self.precision, self.precision_error = name, error.mean
                return
            LOGGER.warning('precision %s is %s on %s (limits %.0f and %.0f %%): not used', name,
                           error, self.device_name, *(100 * limit for limit
                                                      in precision.MAX_DEVIATION))
            self._planner.close()
            self._planner = exact

    def _samples(self) -> list[Frame]:
        """Return frames to warm the model and to compare precisions with."""
        prompt = np.linspace(1, 4, 48, dtype=np.float32).reshape(6, 8)
        return [Frame(image, focal_length=float(image.shape[1]),
                      prompt=prompt if self.family.needs_prompt else None)
                for image in precision.sample_images()]

    def _depths(self, frames: Sequence[Frame]) -> list[Depth]:
        """Estimate one frame after the other, without graphs that would soon be of no use."""
        self._planner.captures = False
        depths = [self.estimate([frame])[0] for frame in frames]
        self._planner.captures = self.family.native
        return depths

    def _accelerate(self) -> None:
        """Capture, and start to build faster networks beside the work, the usual size's first."""
        self._planner.backends = choose_backends(
            self.options.backend, compiles=self.options.compile, device=self.device,
            precision=self.precision, folder=self._checkpoint.folder,
            domain=self.options.domain) if self.family.native else []
        frame = self._samples()[0]
        if self.device.type == 'cuda':
            for _ in range(2):  # from the second on frames of this size are one graph
                self.estimate([frame])
        else:
            self._runner.prepare(self._planner, frame)

    def _fall_back(self) -> bool:
        """Serve in fp32 from now on; return False, unchanged, where it cannot be had."""
        LOGGER.warning('precision %s gave no finite depth for a whole image: falling back to '
                       'fp32', self.precision)
        served = self.family, self._runner, self._planner, self.precision, self.precision_error
        try:
            with self._alone():
                self.family = self._loaded(self._checkpoint)
                self._runner = BatchRunner(self.device, self.family)
                self._planner = self._placed()
                self.precision, self.precision_error = 'fp32', None
                self._accelerate()
        except DeviceLostError:
            raise
        except (CheckpointError, DeviceError) as error:
            if self._planner is not served[2]:
                self._planner.close()
            (self.family, self._runner, self._planner,
             self.precision, self.precision_error) = served
            LOGGER.error('it stays in %s, since fp32 cannot be had: %s', self.precision, error)
            self._may_fall_back = False
            return False
        served[2].close()
        return True

    def _start(self, frames: Sequence[Frame], indices: list[int], size: Size,
               flip: bool) -> list[Batch]:
        """Begin with images of one network size, in batches that the memory holds."""
        limit = max(self._limit(size) // (1 + flip), 1)
        if len(indices) > limit:
            parts = [indices[start:start + limit] for start in range(0, len(indices), limit)]
            return [batch for part in parts for batch in self._start(frames, part, size, flip)]
        try:
            return [self._runner.run(self._planner, frames, indices, size, flip)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = explain(error)
        self._make_room(len(indices), size, flip, reason)  # now that the error holds no tensor
        return self._start(frames, indices, size, flip)

    def _limit(self, size: Size) -> int:
        """Return the largest batch of the network at a size."""
        largest = 1 << 30 if self._planner.graphs is None else MAX_GRAPH_BATCH
        return min(self._limits.get(size, largest), largest)

    def _make_room(self, count: int, size: Size, flip: bool, reason: str) -> None:
        """After an out of memory drop the graphs first, then halve the batch, for good."""
        where = f'out of memory on {self.device_name} with a batch of {count} at network size ' \
                f'{size[1]}x{size[0]}'
        if self._planner.release_graphs():
            self._planner.captures = False
            LOGGER.warning('%s: serving without CUDA graphs', where)
        elif count == 1:
            raise DeviceError(f'{where}: {reason}')
        else:
            self._limits[size] = max(count // 2, 1) * (1 + flip)
            self._planner.captures = True
            LOGGER.warning('%s: halving it from now on', where)
        GUARD.run_soon(partial(_free_unused, self.device))

    def _collect(self, frames: Sequence[Frame], batches: list[Batch], wait: Callable[[], object],
                 flip: bool) -> list[Depth]:
        """Return the depths of submitted images in their order."""
        with watched(self.device):
            wait()
        lost = max((float(batch.told[:, 0].max()) for batch in batches), default=0.0)
        if lost >= 1 and self.precision != 'fp32' and self._may_fall_back and self._fall_back():
            return self.estimate(frames, flip=flip)
        if lost > LOST_SHARE and time.monotonic() - self._lost_warned >= LOST_PERIOD:
            self._lost_warned = time.monotonic()
            LOGGER.warning('the network gave no finite depth for %.0f %% of an image, at %s: they '
                           'are NaN', 100 * lost, self.precision)
        depths = {index: depth.numpy() for batch in batches
                  for index, depth in zip(batch.indices, batch.depths, strict=True)}
        preferred = {index: float(each) for batch in batches
                     for index, each in zip(batch.indices, batch.told[:, 1], strict=True)}
        return [self._held(frame, depths[index], preferred[index], flip)
                for index, frame in enumerate(frames)]

    def _held(self, frame: Frame, depth: Depth, preferred: float, flip: bool) -> Depth:
        """Return the depth of the head that serves the frame's camera."""
        if frame.camera is None or math.isnan(preferred):
            return depth
        head = self._hold.choose(frame.camera, int(preferred))
        if head == preferred:
            return depth
        with watched(self.device):
            return self._runner.through(self._planner, frame, head, flip)


def _frame(image: Image | Frame) -> Frame:
    return image if isinstance(image, Frame) else Frame(image)


def _free_unused(device: torch.device) -> None:
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.empty_cache()
