# SPDX-License-Identifier: Apache-2.0
"""Images of one network size on their way to the device and through the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .confidence import agreement
from .device import fetched, upload
from .families.base import Family
from .frame import Frame
from .maps import Maps
from .running.planner import Planner, Stages
from .running.shape import Size


@dataclass(frozen=True)
class Batch:
    """Images that run together, and what the device has or will have written for them."""

    indices: list[int]
    """Their places in the caller's list."""
    maps: list[Maps]
    """On the device."""
    told: Tensor
    """What is told of each, N×3 on the host: the share of pixels without a finite depth; which of
    the family's domains it prefers, NaN where there is no choice; 1 where its mirror image, that
    it is averaged with, prefers another, else 0."""


class BatchRunner:
    """Uploads, prepares, runs and resizes; on CUDA without waiting for the device."""

    def __init__(self, device: torch.device, family: Family) -> None:
        self.device, self._family = device, family

    @torch.inference_mode()
    def run(self, planner: Planner, frames: Sequence[Frame], indices: list[int], size: Size,
            flip: bool) -> Batch:
        """Begin with some of the frames; what is returned is filled by the end of the work."""
        self._take_device()
        taken = [frames[index] for index in indices]
        alike = planner.graphs is not None and not self._family.per_frame and len(
            {frame.image.shape for frame in taken}) == 1
        maps, told = (self._run_alike if alike else self._run_each)(planner, taken, size, flip)
        return Batch(indices, [_named(each) for each in maps], fetched(told))

    @torch.inference_mode()
    def through(self, planner: Planner, frame: Frame, head: int,
                flip: bool) -> Maps:
        """Return a frame's depth by one of the family's domains, whatever the image prefers."""
        self._take_device()
        inputs = self._before([upload(frame.image, self.device)], [frame], flip=flip)
        with self._family.through(head):
            (maps,), _ = self._after([frame], flip, planner.plain(inputs))
        return _named(maps)

    @torch.inference_mode()
    def prepare(self, planner: Planner, frame: Frame) -> None:
        """Have a planner make ready for frames like this one."""
        self._take_device()
        planner.prepare(self._before([upload(frame.image, self.device)], [frame], flip=False))

    def _take_device(self) -> None:
        """Make the device this thread's: Triton launches on the one that is current."""
        if self.device.type == 'cuda':
            torch.cuda.set_device(self.device)

    def _run_alike(self, planner: Planner, frames: list[Frame], size: Size,
                   flip: bool) -> tuple[list[Tensor], Tensor]:
        any_frame = frames[0]
        stages = Stages(
            lambda images: self._before(list(images), [any_frame] * len(images), flip=flip),
            partial(self._after_alike, any_frame, flip))
        maps, told = planner.run_frames(self._staged(frames), size, stages, per_image=1 + flip)
        return list(maps.clone()), told  # a graph writes the next ones to the same place

    def _run_each(self, planner: Planner, frames: list[Frame], size: Size,
                  flip: bool) -> tuple[list[Tensor], Tensor]:
        images = [upload(frame.image, self.device) for frame in frames]
        return self._after(frames, flip, planner(self._before(images, frames, flip=flip)))

    def _before(self, images: list[Tensor], frames: Sequence[Frame], *, flip: bool) -> Tensor:
        """Return the network's input for a batch, with ``flip`` the mirrored images behind."""
        inputs = torch.stack([self._family.inputs(image, frame)
                              for image, frame in zip(images, frames, strict=True)])
        return torch.cat((inputs, self._family.mirrored(inputs))) if flip else inputs

    def _after(self, frames: Sequence[Frame], flip: bool,
               values: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return each frame's maps at its image's size, and what is told of each, N×3."""
        values, preferred = self._family.routed(values)
        values = values.nan_to_num(torch.nan, torch.nan, torch.nan)
        lost = values.isnan().flatten(1).sum(1) / values[0].numel()
        count = len(frames)
        if flip:
            lost = torch.maximum(lost[:count], lost[count:])
        told = torch.stack((lost, *_routing(preferred, lost)), dim=1)
        mirrored = values[count:].flip(-1) if flip else [None] * count
        return [self._maps(*each) for each in zip(values[:count], mirrored, frames,
                                                  strict=True)], told

    def _maps(self, straight: Tensor, mirrored: Tensor | None, frame: Frame) -> Tensor:
        """Return depth, and the confidence where the mirror image was looked at: M×H×W."""
        if mirrored is None:
            return self._family.result(straight, frame)[None]
        mean, *both = (self._family.result(each, frame) for each in (
            (straight + mirrored) / 2, straight, mirrored))
        return torch.stack((mean, agreement(*both)))

    def _after_alike(self, frame: Frame, flip: bool, values: Tensor) -> tuple[Tensor, Tensor]:
        """Do the same for frames like one; their maps are one tensor, N×M×H×W."""
        maps, told = self._after([frame] * (len(values) // (1 + flip)), flip, values)
        return torch.stack(maps), told

    def _staged(self, frames: list[Frame]) -> Tensor:
        """Return images of one shape where the device fetches them while the host goes on."""
        images = [frame.image for frame in frames]
        staged = torch.empty((len(images), *images[0].shape), dtype=torch.uint8,
                             pin_memory=self.device.type == 'cuda')
        np.stack(images, out=staged.numpy())
        return staged


def _named(maps: Tensor) -> Maps:
    """Name the maps of one frame, M×H×W."""
    depth, *confidence = maps
    return Maps(depth, confidence[0] if confidence else None)


def _routing(preferred: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each image prefers, and whether its mirror image prefers another."""
    count = len(like)
    if preferred is None:
        return torch.full_like(like, torch.nan), torch.zeros_like(like)
    return preferred[:count], (preferred[:count] != preferred[-count:]).to(like.dtype)
