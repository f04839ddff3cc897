# SPDX-License-Identifier: Apache-2.0
"""A model on its device in one precision, and what runs it there."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch

from . import device_constants, precision
from .backends import choose_backends
from .batches import Batch, BatchRunner
from .checkpoint import Checkpoint, read_checkpoint
from .device import device_name
from .device_errors import (
    explain,
    explained,
    first_line,
    is_of_device,
    is_out_of_memory,
    watched,
)
from .errors import CheckpointError, DeviceError, DeviceLostError, ImageError
from .families.base import Family, Quantity
from .families.registry import load_family
from .frame import Depth, Frame
from .maps import Maps, download
from .memory_limits import MemoryLimits, free_unused
from .options import EstimatorOptions
from .running.guard import GUARD
from .running.planner import Planner
from .running.shape import Size

LOGGER = logging.getLogger(__name__)

ROUNDING = 16
"""Pixels by which a side differs at most from what was asked for, where it is rounded only."""


class LoadedModel:
    """A loaded checkpoint. Several may be there at once; not for use by several threads."""

    def __init__(self, options: EstimatorOptions, device: torch.device, *,
                 exact: bool = False) -> None:
        """
        Load a checkpoint, move it to its device, choose its precision and warm it.

        :param exact: take fp32, whatever precision the options say.
        :raises CheckpointError: when it is missing, corrupt, of no family served, or gives no
            metres where only these are wanted.
        :raises DeviceError: when the device has no room for it, or not the precision.
        """
        self.options, self.device = options, device
        checkpoint = read_checkpoint(options.model, revision=options.revision,
                                     local_files_only=options.local_files_only)
        self.name = checkpoint.name
        self.family: Family = load_family(checkpoint, options.height, options.width,
                                          domain=options.domain)
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
        self.runner = BatchRunner(device, self.family)
        self.limits = MemoryLimits(device, captures=self.family.native)
        self._explain = partial(explain, lowered=options.precision != 'fp32')
        with self._alone(), ExitStack() as undo:
            self.planner = self._placed()
            undo.callback(self._end)
            self._choose_precision('fp32' if exact else options.precision)
            self._accelerate(checkpoint)
            undo.pop_all()

    def network_size(self, frame: Frame) -> Size:
        """
        Return the (height, width) at which the network sees a frame's image.

        :raises ImageError: when the network cannot take it, or something beside it is missing.
        """
        pixels = frame.image
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ImageError(f'expected an HxWx3 uint8 RGB image, not {pixels.dtype} of shape '
                             f'{"x".join(map(str, pixels.shape))}')
        if not pixels.size:
            raise ImageError(f'image of {pixels.shape[1]}x{pixels.shape[0]} pixels is empty')
        if self.family.needs_prompt and frame.prompt is None:
            raise ImageError(f"model '{self.name}' needs another sensor's depth as a prompt, and "
                             'none has come')
        if (self.options.only_metres or self.options.consistent) and (
                self.family.quantity_of(frame) is not self.family.quantity):
            raise ImageError(f"model '{self.name}' gives metres only with the camera's focal "
                             "length, and no camera_info has come: remap it to the camera's")
        return self.family.size(*pixels.shape[:2])

    def start(self, frames: Sequence[Frame], indices: list[int], size: Size,
              flip: bool) -> list[Batch]:
        """
        Begin with images of one network size, in batches that the memory holds.

        Where it does not hold one, CUDA graphs are dropped for a while, then the batch is halved.

        :param indices: those of the frames to take.
        :param flip: average with the mirrored image's depth.
        :raises DeviceError: when the device's memory does not hold one image.
        """
        limit = max(self.limits.largest(self.planner, size) // (1 + flip), 1)
        if len(indices) > limit:
            parts = [indices[start:start + limit] for start in range(0, len(indices), limit)]
            return [batch for part in parts for batch in self.start(frames, part, size, flip)]
        try:
            return [self.runner.run(self.planner, frames, indices, size, flip)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = self._explain(error)
        # now that the error holds no tensor
        self.limits.make_room(self.planner, len(indices), size, flip=flip, reason=reason)
        return self.start(frames, indices, size, flip)

    def through(self, frame: Frame, head: int, flip: bool) -> Maps:
        """
        Return a frame's depth by one of the family's domains, whatever the image prefers.

        :raises DeviceError: when the device's memory does not hold it.
        """
        try:
            return self.runner.through(self.planner, frame, head, flip)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = self._explain(error)
        self.limits.make_room(self.planner, 1, self.network_size(frame), flip=flip, reason=reason)
        return self.through(frame, head, flip)

    def prepare(self, height: int, width: int) -> None:
        """
        Make ready for images of a size before one comes, beside the work; returns at once.

        Any thread may call it.

        :raises ImageError: when the network cannot take such an image.
        """
        if self.family.native and not self.family.needs_prompt:
            self.planner.prepare_size(self.family.size(height, width))

    def describe(self) -> str:
        """Return a line for the log: model, device, precision, network size of a VGA image."""
        image = precision.sample_images()[0]
        rows, columns = self.family.size(*image.shape[:2])
        error = '' if self.precision_error is None else (
            f' ({self.precision_error:.2%} from fp32)')
        asked = self.options.height or rows, self.options.width or columns
        kept = '' if max(abs(asked[0] - rows), abs(asked[1] - columns)) <= ROUNDING else (
            f' (not {asked[1]}x{asked[0]}: the image keeps its proportion)')
        return (f'{self.name}: {self.parameters / 1e6:.1f} M parameters on '
                f'{device_name(self.device)}, {self.precision}{error}, network '
                f'{columns}x{rows}{kept} for images of {image.shape[1]}x{image.shape[0]}')

    def close(self) -> None:
        """Give the device's memory back; the model is of no use afterwards."""
        self.planner.close()
        del self.planner
        self.family.network = torch.nn.Identity()  # whoever still asks the family holds no weights
        GUARD.run_soon(device_constants.forget)
        GUARD.run_soon(partial(free_unused, self.device))

    def _end(self) -> None:
        self.planner.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads from capturing meanwhile; say in one line what the device says."""
        with (GUARD.hold() if self.device.type == 'cuda' else nullcontext(),
              explained(self.device, lowered=self.options.precision != 'fp32'),
              watched(self.device)):
            yield

    def _placed(self) -> Planner:
        try:
            network: Any = self.family.network
            network.to(self.device, memory_format=torch.channels_last)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(f'{device_name(self.device)} has no room for {self.name} '
                              f'({self.parameters / 1e6:.0f} M parameters): {self._explain(error)}'
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
            exact, unused = self.planner, self._try(name, frames, references, wanted == 'auto')
            if not unused:
                exact.close()
                self.family.network, self.precision = self.planner.model, name
                return
            LOGGER.warning('%s: not used', unused)
            if self.planner is not exact:
                self.planner.close()
            self.planner = exact
            free_unused(self.device)

    def _try(self, name: str, frames: Sequence[Frame], references: Sequence[Depth],
             auto: bool) -> str:
        """
        Serve by a copy in a low precision from now on.

        :param auto: whether nobody asked for this one, so that its failure is none.
        :return: why it is not to be used; '' where it is.
        """
        self.planner.forget()
        free_unused(self.device)  # both copies of the weights are much already
        try:
            with watched(self.device):
                self.planner = Planner(precision.lowered(
                    self.planner.model, precision.PRECISIONS[name], self.family.float32))
                error = precision.deviation(self._depths(frames), references)
        except (RuntimeError, MemoryError, DeviceError) as failure:
            if not auto or not _of_precision(failure):
                raise
            return f'precision {name} fails on {device_name(self.device)}: {first_line(failure)}'
        if error.within(precision.MAX_DEVIATION):
            self.precision_error = error.mean
            return ''
        return f'precision {name} is {error} on {device_name(self.device)} (limits ' \
               f'{precision.MAX_DEVIATION.mean:.0%} and {precision.MAX_DEVIATION.p99:.0%})'

    def _samples(self) -> list[Frame]:
        """Return frames to warm the model and to compare precisions with."""
        prompt = np.linspace(1, 4, 48, dtype=np.float32).reshape(6, 8)
        return [Frame(image, focal_length=float(image.shape[1]),
                      prompt=prompt if self.family.needs_prompt else None)
                for image in precision.sample_images()]

    def _depths(self, frames: Sequence[Frame]) -> list[Depth]:
        """Estimate one frame after the other, without graphs that would soon be of no use."""
        self.planner.captures = False
        depths = [self._depth(frame) for frame in frames]
        self.planner.captures = self.family.native
        return depths

    def _depth(self, frame: Frame) -> Depth:
        GUARD.work_off()  # the model that serves may wait for its graphs' memory
        batch, = self.start([frame], [0], self.family.size(*frame.image.shape[:2]), False)
        found, = download(batch.maps)()
        return found.depth

    def _accelerate(self, checkpoint: Checkpoint) -> None:
        """Capture, and start to build faster networks beside the work, the usual size's first."""
        self.planner.backends = choose_backends(
            self.options.backend, compiles=self.options.compile, device=self.device,
            precision=self.precision, folder=checkpoint.folder,
            domain=self.options.domain) if self.family.native else []
        frame = self._samples()[0]
        if self.device.type == 'cuda':
            for _ in range(2):  # from the second on frames of this size are one graph
                self._depth(frame)
        else:
            self.runner.prepare(self.planner, frame)


def _of_precision(error: Exception) -> bool:
    """Return whether an error may be one of a precision: the device's, which still answers."""
    return not isinstance(error, DeviceLostError) and (
        isinstance(error, DeviceError) or is_of_device(error) or is_out_of_memory(error))
