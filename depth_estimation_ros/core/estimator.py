"""Metric depth of camera images: uint8 RGB in, float32 metres out, at the images' own size."""

import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .backends import check_backend, choose_backends
from .checkpoint import Checkpoint, load_checkpoint
from .device import resolve_device
from .errors import CheckpointError, DeviceError, ImageError
from .families.zoedepth import patch
from .plan import Planner
from .transforms import Transforms

LOGGER = logging.getLogger(__name__)

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
MAX_PRECISION_ERROR = 0.01
"""The mean relative error in depth against fp32 above which a low precision is not used."""

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
        checkpoint = load_checkpoint(options.model, revision=options.revision,
                                     local_files_only=options.local_files_only)
        self.name = checkpoint.name
        own = checkpoint.preprocessing
        self.preprocessing = replace(
            own, height=options.height or own.height, width=options.width or own.width)
        self._transforms = Transforms(self.preprocessing, self.device)
        self.parameters = checkpoint.parameters
        self.range = checkpoint.range
        """The nearest and farthest depth in metres that the model was trained for."""
        self.precision = 'fp32'
        self.precision_error: float | None = None
        """The mean relative error of the chosen low precision against fp32, where measured."""
        self._planner = self._placed(checkpoint)
        self._choose_precision(options.precision)
        self._accelerate()

    def estimate(self, images: Sequence[Image], *, flip: bool = False) -> list[Depth]:
        """
        Estimate the depth of a batch of images, which may differ in size.

        Images with the same network size run as one batch. Where the device's memory does not
        hold the batch it is halved.

        :param images: each uint8 RGB, H×W×3.
        :param flip: average with the mirrored image's depth, as the original ZoeDepth does.
        :return: for each image float32 metres along the optical axis (REP 118), H×W; NaN where
            the network gave no finite value.
        :raises ImageError: when an image has another shape or dtype, or is too small or elongated.
        :raises DeviceError: when the device's memory does not hold one image.
        """
        sizes = [self.network_size(image) for image in images]
        depths: list[Depth | None] = [None] * len(images)
        order = sorted(range(len(images)), key=lambda index: sizes[index])
        for size, group in groupby(order, key=lambda index: sizes[index]):
            indices = list(group)
            batch = self._estimate_batch([images[index] for index in indices], size, flip)
            for index, depth in zip(indices, batch, strict=True):
                depths[index] = depth
        return [depth for depth in depths if depth is not None]

    def network_size(self, image: Image) -> tuple[int, int]:
        """
        Return the (height, width) at which the network sees an image.

        :raises ImageError: when the network cannot take it.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(f'expected an HxWx3 uint8 RGB image, not {image.dtype} of shape '
                             f'{"x".join(map(str, image.shape))}')
        return self.preprocessing.network_size(*image.shape[:2])

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
        del self._planner, self._transforms
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()

    @property
    def device_bytes(self) -> int:
        """The memory taken on the CUDA device; 0 on the CPU."""
        return torch.cuda.memory_allocated(self.device) if self.device.type == 'cuda' else 0

    def _placed(self, checkpoint: Checkpoint) -> Planner:
        self._folder = checkpoint.folder
        try:
            model: Any = patch(checkpoint.model)
            model.to(self.device, memory_format=torch.channels_last)
        except torch.OutOfMemoryError as error:
            raise DeviceError(f'{self.device_name} has no room for {self.name} '
                              f'({self.parameters / 1e6:.0f} M parameters): {error}') from error
        return Planner(model)

    def _choose_precision(self, wanted: str) -> None:
        """Take the first precision whose depth stays near that of fp32; warm the model."""
        reference = self._warm()
        if not np.isfinite(reference).any():
            raise CheckpointError(f"model '{self.name}' gives no finite depth at fp32: its "
                                  'weights are damaged')
        for precision in self._candidates(wanted):
            self._lower(PRECISIONS[precision])
            error = relative_error(self._warm(), reference)
            if error <= MAX_PRECISION_ERROR:
                self.precision, self.precision_error = precision, error
                return
            LOGGER.warning('precision %s is %.2f %% from fp32 on %s (limit %.0f %%): not used',
                           precision, 100 * error, self.device_name, 100 * MAX_PRECISION_ERROR)
            self._restore()

    def _accelerate(self) -> None:
        """Start to build faster networks beside the work, the usual size's first."""
        self._planner.backends = choose_backends(
            self.options.backend, compiles=self.options.compile, device=self.device,
            precision=self.precision, folder=self._folder)
        image = _test_image()
        self._planner.prepare(self._input([image], self.network_size(image), flip=False))

    def _candidates(self, wanted: str) -> list[str]:
        if wanted == 'auto':
            return ['fp16', 'bf16'] if self.device.type == 'cuda' else []
        if wanted not in PRECISIONS:
            raise DeviceError(f"precision '{wanted}' is not one of auto, {', '.join(PRECISIONS)}")
        return [] if wanted == 'fp32' else [wanted]

    def _lower(self, dtype: torch.dtype) -> None:
        """Convert all but the metric head, in which low precision would cost metres."""
        model = self._planner.model
        for name, module in model.named_children():
            if name != 'metric_head':
                module.to(dtype)
        self._planner = Planner(model)

    def _restore(self) -> None:
        """Load the weights again, at the full precision that lowering them has lost."""
        self._planner.close()
        self._planner = self._placed(load_checkpoint(
            self.options.model, revision=self.options.revision, local_files_only=True))
        self.precision, self.precision_error = 'fp32', None

    def _warm(self) -> Depth:
        """Estimate the depth of the test image."""
        return self.estimate([_test_image()])[0]

    def _estimate_batch(self, images: list[Image], size: tuple[int, int],
                        flip: bool) -> list[Depth]:
        try:
            depths = self._run(images, size, flip)
        except torch.OutOfMemoryError as error:
            if len(images) == 1:
                raise DeviceError(f'out of memory on {self.device_name} with one image at network '
                                  f'size {size[1]}x{size[0]}: {error}') from error
            depths = None
        if depths is None:
            half = len(images) // 2
            LOGGER.warning('out of memory on %s with a batch of %d: halving it',
                           self.device_name, len(images))
            torch.cuda.empty_cache()
            return (self._estimate_batch(images[:half], size, flip)
                    + self._estimate_batch(images[half:], size, flip))
        if self.precision != 'fp32' and any(np.isnan(depth).all() for depth in depths):
            LOGGER.warning('precision %s gave no finite depth for a whole image: falling back to '
                           'fp32', self.precision)
            self._restore()
            self._accelerate()
            return self._estimate_batch(images, size, flip)
        return depths

    @torch.inference_mode()
    def _run(self, images: list[Image], size: tuple[int, int], flip: bool) -> list[Depth]:
        if self.device.type == 'cuda':
            torch.cuda.set_device(self.device)
        metres = self._planner(self._input(images, size, flip))
        metres = torch.where(metres.isfinite(), metres, torch.nan)
        if flip:
            metres = (metres[:len(images)] + metres[len(images):].flip(-1)) / 2
        depths = [self._transforms.to_depth(depth, *image.shape[:2])
                  for depth, image in zip(metres, images, strict=True)]
        return self._download(depths)

    @torch.inference_mode()
    def _input(self, images: list[Image], size: tuple[int, int], flip: bool) -> Tensor:
        """Return the network's input for a batch, with ``flip`` the mirrored images behind."""
        pixels = torch.stack([self._transforms.to_network(self._upload(image), size)
                              for image in images])
        return torch.cat((pixels, pixels.flip(-1))) if flip else pixels

    def _upload(self, image: Image) -> Tensor:
        pixels = torch.from_numpy(np.require(image, requirements=['C', 'W']))
        if self.device.type == 'cuda':
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels

    def _download(self, depths: list[Tensor]) -> list[Depth]:
        if self.device.type == 'cuda':
            pinned = [torch.empty(depth.shape, pin_memory=True) for depth in depths]
            for host, depth in zip(pinned, depths, strict=True):
                host.copy_(depth, non_blocking=True)
            torch.cuda.current_stream(self.device).synchronize()
            depths = pinned
        return [depth.numpy() for depth in depths]


@lru_cache
def _test_image() -> Image:
    """Return smooth noise, uint8 RGB, 480×640×3, the same each time."""
    coarse = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0)) * 255
    image = torch.nn.functional.interpolate(coarse, (480, 640), mode='bicubic')
    return np.asarray(image[0].permute(1, 2, 0).clamp(0, 255).byte().numpy())


def relative_error(depth: Depth, reference: Depth) -> float:
    """Return the mean of |depth - reference| / reference over a whole image; inf if not finite."""
    error = float(np.mean(np.abs(depth - reference) / np.abs(reference)))
    return error if np.isfinite(error) else float('inf')
