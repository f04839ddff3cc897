"""The thread that turns waiting frames into published depth."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock, Thread
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from ..core.colour import Colouriser
from ..core.errors import DepthError, DeviceLostError, ImageError
from ..core.validity import apply_range
from . import codec
from .converter import Decode
from .mailbox import Frame, Mailboxes
from .parameters import Settings
from .tally import DEACTIVATED, FAILED, REPLACED, TOO_OLD, UNDECODABLE, UNSUITABLE

LOGGER = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Wait = Callable[[], list[NDArray[np.float32]]]
"""Waits for the depth of each image of a batch."""


class Estimator(Protocol):
    """What the worker needs of the core's DepthEstimator."""

    range: tuple[float, float]

    @property
    def overlaps(self) -> bool:
        """Whether submitted work goes on beside the caller's own."""

    def submit(self, images: list[Pixels], *, flip: bool) -> Wait:
        """Begin with a batch; what is returned waits for its depth in metres."""

    def network_size(self, image: Pixels) -> tuple[int, int]:
        """Raise ImageError when the network cannot take the image."""

    def close(self) -> None:
        """Give the device's memory back."""


class Worker:
    """
    Takes the newest frames of all cameras, runs them as one batch, publishes each.

    On a GPU the next batch is in the network while the last one is published.
    """

    def __init__(self, estimator: Estimator, decode: Decode, *, settings: Settings,
                 now: Callable[[], float], warn: Callable[[str, str], None],
                 fail: Callable[[DeviceLostError], None]) -> None:
        """
        Start the thread.

        :param now: the node's clock in seconds.
        :param warn: called with a camera's topic prefix and a sentence about a dropped frame.
        :param fail: called when the device is lost, after which no frame is served.
        """
        self._estimator, self._decode = estimator, decode
        self._successor: Estimator | None = None
        self._changing = Lock()
        self._in_hand: list[Frame] = []
        self._now, self._warn, self._fail = now, warn, fail
        self._mailboxes = Mailboxes()
        self.configure(settings)
        self._thread = Thread(target=self._run, name='depth_worker', daemon=True)
        self._thread.start()

    def configure(self, settings: Settings) -> None:
        """Use new settings from the next frame on; a frame in hand keeps the old ones."""
        self._shaping = Shaping(
            settings, *settings.range(self._estimator.range[1]),
            Colouriser(settings.preview_colormap, settings.preview_near, settings.preview_far))

    def replace(self, estimator: Estimator) -> None:
        """Use another estimator from the next batch on; the old one is closed then."""
        with self._changing:
            displaced, self._successor = self._successor, estimator
        if displaced is not None:
            displaced.close()

    def deliver(self, frame: Frame) -> None:
        """Leave a frame for the network, in place of an older one of the same camera."""
        displaced = self._mailboxes.put(frame)
        if displaced is not None:
            displaced.camera.tally.drop(REPLACED)

    def stop(self, timeout: float | None = None) -> bool:
        """
        Drop what waits, let the batch in hand finish, end the thread.

        :param timeout: seconds to wait for the batch in hand.
        :return: whether the thread has ended.
        """
        for frame in self._mailboxes.close():
            frame.camera.tally.drop(DEACTIVATED)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while frames := self._mailboxes.take(self._shaping.settings.max_batch):
            try:
                self._serve(frames)
            except DeviceLostError as error:
                for frame in self._in_hand:
                    frame.camera.tally.drop(FAILED, str(error))
                self._fail(error)
                return
            except Exception as error:  # the thread's boundary: it must outlive any one batch
                LOGGER.exception('a batch of %d frames was lost', len(frames))
                for frame in self._in_hand:
                    self._drop(frame, FAILED, f'unforeseen: {error!r}')
        self._succeed()

    def _succeed(self) -> None:
        with self._changing:
            successor, self._successor = self._successor, None
        if successor is not None:
            self._estimator.close()
            self._estimator = successor

    def _serve(self, frames: list[Frame]) -> None:
        """Serve frames, and those that come while they are published."""
        batch: Batch | None = self._begin(frames)
        while batch is not None:
            estimated = self._finish(batch)
            following = self._begin_next() if self._estimator.overlaps else None
            for frame, depth, stages in estimated:
                self._publish(frame, depth, stages, batch.shaping)
            batch = following

    def _begin_next(self) -> Batch | None:
        """Begin with the newest frames, if any wait."""
        frames = self._mailboxes.take(self._shaping.settings.max_batch, wait=False)
        return self._begin(frames) if frames else None

    def _begin(self, frames: list[Frame]) -> Batch:
        self._in_hand = self._in_hand + frames
        self._succeed()
        shaping, taken = self._shaping, self._now()
        images = []
        for frame in frames:
            started = perf_counter()
            pixels = self._decoded(frame)
            if pixels is not None:
                stages = {'wait': taken - frame.received, 'decode': perf_counter() - started}
                images.append((frame, pixels, stages))
        return self._submitted(images, shaping)

    def _decoded(self, frame: Frame) -> Pixels | None:
        compressed = isinstance(frame.message, CompressedImage)
        try:
            pixels = (codec.decompress if compressed else self._decode)(frame.message)
            self._estimator.network_size(pixels)
        except codec.CodecError as error:
            self._drop(frame, UNDECODABLE, str(error))
        except ImageError as error:
            self._drop(frame, UNSUITABLE, str(error))
        else:
            return pixels
        return None

    def _submitted(self, images: list[Decoded], shaping: Shaping) -> Batch:
        """Hand images to the network; where it fails at once, :meth:`_finish` is told."""
        started = perf_counter()
        try:
            wait: Wait = self._estimator.submit(
                [pixels for _, pixels, _ in images],
                flip=shaping.settings.flip_augmentation) if images else list
        except DeviceLostError:
            raise
        except (DepthError, RuntimeError) as error:
            wait = partial(_raise, error)
        return Batch(images, shaping, started, wait)

    def _finish(self, batch: Batch) -> list[Estimated]:
        """Wait for a batch; where it fails, run its images alone so that one harms no other."""
        try:
            depths = batch.wait()
        except DeviceLostError:
            raise
        except (DepthError, RuntimeError) as error:
            if len(batch.images) == 1:
                self._drop(batch.images[0][0], FAILED, f'the network failed: {error}')
                return []
            return [result for image in batch.images
                    for result in self._finish(self._submitted([image], batch.shaping))]
        network = perf_counter() - batch.started
        return [(frame, depth, {**stages, 'network': network})
                for (frame, _, stages), depth in zip(batch.images, depths, strict=True)]

    def _publish(self, frame: Frame, depth: NDArray[np.float32], stages: dict[str, float],
                 shaping: Shaping) -> None:
        started = perf_counter()
        age = self._now() - frame.stamp
        if shaping.settings.max_age and age > shaping.settings.max_age:
            self._drop(frame, TOO_OLD, f'captured {age:.3f} s ago, more than max_age '
                                       f'({shaping.settings.max_age} s)')
            return
        apply_range(depth, shaping.near, shaping.far)
        try:
            frame.camera.publish(frame.message.header, depth, shaping.colourise)
        except RuntimeError as error:
            self._drop(frame, FAILED, f'publishing failed: {error}')
            return
        self._in_hand = [other for other in self._in_hand if other is not frame]
        frame.camera.tally.publish({**stages, 'publish': perf_counter() - started,
                                    'total': self._now() - frame.stamp})

    def _drop(self, frame: Frame, reason: str, explanation: str) -> None:
        self._in_hand = [other for other in self._in_hand if other is not frame]
        frame.camera.tally.drop(reason, explanation)
        self._warn(f'{frame.camera.name} {reason}'.strip(), explanation)


@dataclass(frozen=True)
class Shaping:
    """What the settings make of depth on its way out."""

    settings: Settings
    near: float
    """Metres."""
    far: float
    """Metres, the model's own limit where the settings leave it open."""
    colourise: Colouriser


def _raise(error: Exception) -> list[NDArray[np.float32]]:
    raise error


Decoded = tuple[Frame, Pixels, dict[str, float]]
Estimated = tuple[Frame, NDArray[np.float32], dict[str, float]]


@dataclass(frozen=True)
class Batch:
    """Images that were handed to the network together."""

    images: list[Decoded]
    shaping: Shaping
    started: float
    """When, on the performance counter."""
    wait: Wait
