"""Metric depth of camera images: uint8 RGB in, float32 metres out, at the images' own size."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import device_constants, precision
from .backends import check_backend, choose_backends
from .batches import Batch, BatchRunner
from .checkpoint import Checkpoint, load_checkpoint
from .device import resolve_device, start_device
from .device_errors import explain, explained, is_out_of_memory, watched
from .errors import CheckpointError, DeviceError, ImageError
from .patches import patch
from .running.guard import GUARD
from .running.planner import Planner
from .running.shape import MAX_GRAPH_BATCH, Size

LOGGER = logging.getLogger(__name__)

LOST_SHARE = 0.01
"""The share of an image's pixels without a finite depth from which on there is a warning."""

LOST_PERIOD = 60.0
"""Seconds for which that warning is not repeated."""

Image = NDArray[np.uint8]
Depth = NDArray[np.float32]


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
    """Rows that the network sees; 0 takes the checkpoint's own."""
    width: int = 0
    """Columns that the network sees; 0 takes the checkpoint's own."""
    backend: str = 'auto'
    """'auto', 'torch' or 'openvino'; auto takes OpenVINO on the CPU where it is installed."""
    compile: bool = False
    """Build with torch.compile too, and use it where it is faster."""


class DepthEstimator:
    """A ZoeDepth model on its device. Not for use from several threads at once."""

    def __init__(self, options: EstimatorOptions) -> None:
        """
        Load a model, move it to its device and warm it.

        :raises CheckpointError: when the checkpoint is missing, corrupt or not ZoeDepth.
        :raises DeviceError: when the device or the precision is not to be had here.
        """
        self.options = options
        self.device = resolve_device(options.device)
        self.check(options)
        start_device(self.device)
        checkpoint = load_checkpoint(options.model, revision=options.revision,
                                     local_files_only=options.local_files_only)
        self.name, self._folder = checkpoint.name, checkpoint.folder
        own = checkpoint.preprocessing
        self.preprocessing = replace(
            own, height=options.height or own.height, width=options.width or own.width)
        self.parameters = checkpoint.parameters
        self.range = checkpoint.range
        """The nearest and farthest depth in metres that the model was trained for."""
        self.precision = 'fp32'
        self.precision_error: float | None = None
        """The mean relative error of the chosen low precision against fp32, where measured."""
        self._runner = BatchRunner(self.device, self.preprocessing)
        self._limits: dict[Size, int] = {}
        """The largest batch of the network that the memory holds, where one was too large."""
        self._lost_warned = -LOST_PERIOD
        with self._starting():
            self._planner = self._placed(checkpoint)
            del checkpoint
            self._choose_precision(options.precision)
            self._accelerate()

    def estimate(self, images: Sequence[Image], *, flip: bool = False) -> list[Depth]:
        """
        Estimate the depth of a batch of images, which may differ in size.

        Images with the same network size run as one batch. Where the device's memory does not
        hold it, CUDA graphs are dropped, then the batch is halved, for good.

        :param images: each uint8 RGB, H×W×3.
        :param flip: average with the mirrored image's depth, as the original ZoeDepth does.
        :return: for each image float32 metres along the optical axis (REP 118), H×W; NaN where
            the network gave no finite value.
        :raises ImageError: when an image has another shape or dtype, or is too small or elongated.
        :raises DeviceError: when the device's memory does not hold one image.
        :raises DeviceLostError: when the device answers no call any more.
        """
        return self.submit(images, flip=flip)()

    def submit(self, images: Sequence[Image], *, flip: bool = False) -> Callable[[], list[Depth]]:
        """
        Begin what :meth:`estimate` does; on CUDA it goes on while the caller does other things.

        :return: waits for the depth and returns it; to be called once, before anything else is
            asked of the estimator.
        """
        sizes = [self.network_size(image) for image in images]
        order = sorted(range(len(images)), key=lambda index: sizes[index])
        with watched(self.device):
            batches = [batch for size, group in groupby(order, key=lambda index: sizes[index])
                       for batch in self._start(images, list(group), size, flip)]
            return partial(self._collect, images, batches, self._runner.end_of_work(), flip)

    @property
    def overlaps(self) -> bool:
        """Whether submitted work goes on beside the caller's own."""
        return self.device.type == 'cuda'

    def network_size(self, image: Image) -> tuple[int, int]:
        """
        Return the (height, width) at which the network sees an image.

        :raises ImageError: when the network cannot take it.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(f'expected an HxWx3 uint8 RGB image, not {image.dtype} of shape '
                             f'{"x".join(map(str, image.shape))}')
        return self.preprocessing.network_size(*image.shape[:2])

    def prepare(self, height: int, width: int) -> None:
        """
        Make ready for images of a size before one comes, beside the work; returns at once.

        Any thread may call it. An image that the network cannot take is not prepared for.
        """
        with suppress(ImageError):
            self._planner.prepare_size(self.preprocessing.network_size(height, width))

    def describe(self) -> str:
        """Return one line for the log: model, device, precision, size and network size."""
        error = '' if self.precision_error is None else (
            f' ({self.precision_error:.2%} from fp32)')
        return (f'{self.name}: {self.parameters / 1e6:.1f} M parameters on {self.device_name}, '
                f'{self.precision}{error}, network {self.preprocessing.width}x'
                f'{self.preprocessing.height}')

    @property
    def device_name(self) -> str:
        """The device in words."""
        if self.device.type == 'cuda':
            return f'{self.device} ({torch.cuda.get_device_name(self.device)})'
        return f'{self.device} ({torch.get_num_threads()} threads)'

    def check(self, options: EstimatorOptions) -> None:
        """Raise DeviceError when other options cannot be served on this device."""
        check_backend(options.backend, self.device, options.precision)

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
        """Keep other threads from capturing meanwhile; say in one line what the device says."""
        with GUARD.hold() if self.device.type == 'cuda' else nullcontext():
            try:
                with explained(self.device), watched(self.device):
                    yield
            except BaseException:
                if hasattr(self, '_planner'):
                    self._planner.close()
                raise

    def _placed(self, checkpoint: Checkpoint) -> Planner:
        try:
            model: Any = patch(checkpoint.model)
            model.to(self.device, memory_format=torch.channels_last)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(f'{self.device_name} has no room for {self.name} '
                              f'({self.parameters / 1e6:.0f} M parameters): {explain(error)}'
                              ) from error
        return Planner(model)

    def _choose_precision(self, wanted: str) -> None:
        """Take the first precision whose depth stays near that of fp32, and warm the model."""
        candidates = precision.candidates(wanted, self.device)
        images = precision.sample_images()[:None if candidates else 1]
        references = self._depths(images)
        if not all(np.isfinite(reference).any() for reference in references):
            raise CheckpointError(f"model '{self.name}' gives no finite depth at fp32: its "
                                  'weights are damaged')
        for name in candidates:
            exact, self._planner = self._planner, Planner(
                precision.lowered(self._planner.model, precision.PRECISIONS[name]))
            error = precision.deviation(self._depths(images), references)
            if error.within(precision.MAX_DEVIATION):
                exact.close()
                self.precision, self.precision_error = name, error.mean
                return
            LOGGER.warning('precision %s is %s on %s (limits %.0f and %.0f %%): not used', name,
                           error, self.device_name, *(100 * limit for limit
                                                      in precision.MAX_DEVIATION))
            self._planner.close()
            self._planner = exact

    def _depths(self, images: Sequence[Image]) -> list[Depth]:
        """Estimate one image after the other, without graphs that would soon be of no use."""
        self._planner.captures = False
        depths = [self.estimate([image])[0] for image in images]
        self._planner.captures = True
        return depths

    def _accelerate(self) -> None:
        """Capture, and start to build faster networks beside the work, the usual size's first."""
        self._planner.backends = choose_backends(
            self.options.backend, compiles=self.options.compile, device=self.device,
            precision=self.precision, folder=self._folder)
        image = precision.sample_images()[0]
        if self.device.type == 'cuda':
            for _ in range(2):  # from the second on frames of this size are one graph
                self.estimate([image])
        else:
            self._runner.prepare(self._planner, image, self.network_size(image))

    def _fall_back(self) -> bool:
        """Serve in fp32 from now on; return False where the weights cannot be read again."""
        LOGGER.warning('precision %s gave no finite depth for a whole image: falling back to '
                       'fp32', self.precision)
        try:
            checkpoint = load_checkpoint(self.options.model, revision=self.options.revision,
                                         local_files_only=True)
        except CheckpointError as error:
            LOGGER.error('it stays in %s, since fp32 cannot be loaded: %s', self.precision, error)
            return False
        with self._starting():
            self._planner.close()
            self._planner = self._placed(checkpoint)
            self.precision, self.precision_error = 'fp32', None
            self._accelerate()
        return True

    def _start(self, images: Sequence[Image], indices: list[int], size: Size,
               flip: bool) -> list[Batch]:
        """Begin with images of one network size, in batches that the memory holds."""
        limit = max(self._limit(size) // (1 + flip), 1)
        if len(indices) > limit:
            parts = [indices[start:start + limit] for start in range(0, len(indices), limit)]
            return [batch for part in parts for batch in self._start(images, part, size, flip)]
        try:
            return [self._runner.run(self._planner, images, indices, size, flip)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = explain(error)
        self._make_room(len(indices), size, flip, reason)  # now that the error holds no tensor
        return self._start(images, indices, size, flip)

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

    def _collect(self, images: Sequence[Image], batches: list[Batch], wait: Callable[[], object],
                 flip: bool) -> list[Depth]:
        """Return the depths of submitted images in their order."""
        with watched(self.device):
            wait()
        lost = max((float(batch.lost.max()) for batch in batches), default=0.0)
        if lost >= 1 and self.precision != 'fp32' and self._fall_back():
            return self.estimate(images, flip=flip)
        if lost > LOST_SHARE and time.monotonic() - self._lost_warned >= LOST_PERIOD:
            self._lost_warned = time.monotonic()
            LOGGER.warning('the network gave no finite depth for %.0f %% of an image, at %s: they '
                           'are NaN', 100 * lost, self.precision)
        depths = {index: depth.numpy() for batch in batches
                  for index, depth in zip(batch.indices, batch.depths, strict=True)}
        return [depths[index] for index in range(len(images))]


def _free_unused(device: torch.device) -> None:
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.empty_cache()
