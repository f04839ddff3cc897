"""Images of one network size on their way to the device, through the network, and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .running.planner import Planner, Stages
from .running.shape import Size
from .transforms import Preprocessing, Transforms

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Batch:
    """Images that run together, and what the device has or will have written for them."""

    indices: list[int]
    """Their places in the caller's list."""
    depths: list[Tensor]
    """float32 metres, H×W each, on the host."""
    lost: Tensor
    """The share of pixels without a finite depth of each, on the host."""


class BatchRunner:
    """Uploads, prepares, runs, shapes and downloads; on CUDA without waiting for the device."""

    def __init__(self, device: torch.device, preprocessing: Preprocessing) -> None:
        self.device = device
        self._transforms = Transforms(preprocessing, device)

    @torch.inference_mode()
    def run(self, planner: Planner, images: Sequence[Image], indices: list[int], size: Size,
            flip: bool) -> Batch:
        """Begin with some of the images; what is returned is filled by the end of the work."""
        if self.device.type == 'cuda':
            torch.cuda.set_device(self.device)
        taken = [images[index] for index in indices]
        run = self._run_alike if planner.graphs is not None and len(
            {image.shape for image in taken}) == 1 else self._run_each
        depths, lost = run(planner, taken, size, flip)
        return Batch(indices, depths, self._download(lost))

    @torch.inference_mode()
    def prepare(self, planner: Planner, image: Image, size: Size) -> None:
        """Have a planner make ready for images like this one."""
        planner.prepare(self._before([self._upload(image)], size, flip=False))

    def end_of_work(self) -> Callable[[], object]:
        """Return what waits until all that was begun is done."""
        if self.device.type != 'cuda':
            return lambda: None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))
        return event.synchronize

    def _run_alike(self, planner: Planner, images: list[Image], size: Size,
                   flip: bool) -> tuple[list[Tensor], Tensor]:
        stages = Stages(lambda frames: self._before(list(frames), size, flip=flip),
                        partial(self._after_alike, images[0].shape, flip))
        depths, lost = planner.run_frames(self._staged(images), size, stages, per_image=1 + flip)
        return list(self._download(depths)), lost

    def _run_each(self, planner: Planner, images: list[Image], size: Size,
                  flip: bool) -> tuple[list[Tensor], Tensor]:
        frames = [self._upload(image) for image in images]
        metres = planner(self._before(frames, size, flip=flip))
        depths, lost = self._after([image.shape for image in images], flip, metres)
        return [self._download(depth) for depth in depths], lost

    def _before(self, frames: list[Tensor], size: Size, *, flip: bool) -> Tensor:
        """Return the network's input for a batch, with ``flip`` the mirrored images behind."""
        pixels = torch.stack([self._transforms.to_network(frame, size) for frame in frames])
        return torch.cat((pixels, pixels.flip(-1))) if flip else pixels

    def _after(self, shapes: Sequence[tuple[int, ...]], flip: bool,
               metres: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return each image's depth at its own size, and the shares of pixels without one."""
        finite = metres.isfinite()
        metres = torch.where(finite, metres, torch.nan)
        lost = 1 - finite.flatten(1).sum(1) / finite[0].numel()
        if flip:
            half = len(metres) // 2
            metres = (metres[:half] + metres[half:].flip(-1)) / 2
            lost = torch.maximum(lost[:half], lost[half:])
        return [self._transforms.to_depth(depth, shape[0], shape[1])
                for depth, shape in zip(metres, shapes, strict=True)], lost

    def _after_alike(self, shape: tuple[int, ...], flip: bool,
                     metres: Tensor) -> tuple[Tensor, Tensor]:
        """Do the same for images of one shape; their depths are one tensor, N×H×W."""
        depths, lost = self._after([shape] * (len(metres) // (1 + flip)), flip, metres)
        return torch.stack(depths), lost

    def _upload(self, image: Image) -> Tensor:
        pixels = torch.from_numpy(np.require(image, requirements=['C', 'W']))
        if self.device.type == 'cuda':
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        return pixels

    def _staged(self, images: list[Image]) -> Tensor:
        """Return images of one shape where the device fetches them while the host goes on."""
        staged = torch.empty((len(images), *images[0].shape), dtype=torch.uint8,
                             pin_memory=self.device.type == 'cuda')
        np.stack(images, out=staged.numpy())
        return staged

    def _download(self, tensor: Tensor) -> Tensor:
        """Return the host's memory that a tensor is on its way to."""
        if self.device.type != 'cuda':
            return tensor
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return host.copy_(tensor, non_blocking=True)
