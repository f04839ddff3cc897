"""The thread that turns waiting frames into published depth."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread
from time import monotonic, perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.colour import Colouriser
from ..core.errors import DepthError, ImageError
from ..core.validity import apply_range, unknown_share
from . import codec
from .converter import Decode
from .decoder import CameraDecoder
from .frame_statistics import (
    DEACTIVATED,
    FAILED,
    REPLACED,
    TOO_OLD,
    UNDECODABLE,
    UNSUITABLE,
)
from .mailbox import Frame, Mailboxes
from .parameters import Settings

LOGGER = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


class Estimator(Protocol):
    """What the worker needs of the core's DepthEstimator."""

    range: tuple[float, float]

    def estimate(self, images: list[Pixels], *, flip: bool) -> list[NDArray[np.float32]]:
        """Return depth in metres for each image."""

    def network_size(self, image: Pixels) -> tuple[int, int]:
        """Raise ImageError when the network cannot take the image."""

    def close(self) -> None:
        """Give the device's memory back."""


class Worker:
    """Takes the newest frames of all cameras, runs them as one batch, publishes each."""

    def __init__(self, estimator: Estimator, decode: Decode, *, settings: Settings,
                 now: Callable[[], float], warn: Callable[[str, str], None]) -> None:
        """
        Start the thread.

        :param now: the node's clock in seconds.
        :param warn: called with a camera's topic prefix and a sentence about a dropped frame.
        """
        self._estimator, self._decode = estimator, decode
        self._decoders: dict[Any, CameraDecoder] = {}
        self._successor: Estimator | None = None
        self._changing = Lock()
        self._in_hand: list[Frame] = []
        self._now, self._warn = now, warn
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
            displaced.camera.statistics.drop(REPLACED)

    def stop(self, timeout: float | None = None) -> bool:
        """
        Drop what waits, let the batch in hand finish, end the thread.

        :param timeout: seconds to wait for the batch in hand.
        :return: whether the thread has ended.
        """
        for frame in self._mailboxes.close():
            frame.camera.statistics.drop(DEACTIVATED)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while frames := self._mailboxes.take(self._shaping.settings.max_batch):
            self._in_hand = frames
            try:
                self._succeed()
                self._serve(frames, self._shaping)
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

    def _serve(self, frames: list[Frame], shaping: Shaping) -> None:
        taken = monotonic()
        images = []
        for frame in frames:
            started = perf_counter()
            pixels = self._decoded(frame)
            if pixels is not None:
                stages = {'wait': taken - frame.received, 'decode': perf_counter() - started}
                images.append((frame, pixels, stages))
        for frame, depth, stages in self._estimated(images, shaping.settings.flip_augmentation):
            self._publish(frame, depth, stages, shaping)

    def _decoded(self, frame: Frame) -> Pixels | None:
        decoder = self._decoders.get(frame.camera)
        if decoder is None:
            decoder = self._decoders[frame.camera] = CameraDecoder(frame.camera.name, self._decode)
        try:
            pixels = decoder(frame.message)
            self._estimator.network_size(pixels)
        except codec.CodecError as error:
            self._drop(frame, UNDECODABLE, str(error))
        except ImageError as error:
            self._drop(frame, UNSUITABLE, str(error))
        else:
            return pixels
        return None

    def _estimated(self, images: list[Decoded], flip: bool) -> list[Estimated]:
        """Run the batch; where it fails, run its images alone so that one harms no other."""
        if not images:
            return []
        started = perf_counter()
        try:
            depths = self._estimator.estimate([pixels for _, pixels, _ in images], flip=flip)
        except (DepthError, RuntimeError) as error:
            if len(images) == 1:
                self._drop(images[0][0], FAILED, f'the network failed: {error}')
                return []
            return [result for image in images for result in self._estimated([image], flip)]
        network = perf_counter() - started
        return [(frame, depth, {**stages, 'network': network})
                for (frame, _, stages), depth in zip(images, depths, strict=True)]

    def _publish(self, frame: Frame, depth: NDArray[np.float32], stages: dict[str, float],
                 shaping: Shaping) -> None:
        started = perf_counter()
        age = self._age(frame)
        if shaping.settings.max_age and age > shaping.settings.max_age:
            self._drop(frame, TOO_OLD, f'captured {age:.3f} s ago, more than max_age '
                                       f'({shaping.settings.max_age} s); two hosts need clocks '
                                       'of one source (chrony)')
            return
        unknown = unknown_share(depth)
        apply_range(depth, shaping.near, shaping.far)
        try:
            frame.camera.publish(frame.message.header, depth, shaping.colourise)
        except RuntimeError as error:
            self._drop(frame, FAILED, f'publishing failed: {error}')
            return
        self._in_hand = [other for other in self._in_hand if other is not frame]
        frame.camera.statistics.publish({**stages, 'publish': perf_counter() - started,
                                         'total': self._age(frame)}, unknown)

    def _age(self, frame: Frame) -> float:
        """Return the seconds since the capture; since the arrival where it has no stamp."""
        return self._now() - frame.stamp if frame.stamp else monotonic() - frame.received

    def _drop(self, frame: Frame, reason: str, explanation: str) -> None:
        self._in_hand = [other for other in self._in_hand if other is not frame]
        frame.camera.statistics.drop(reason, explanation)
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


Decoded = tuple[Frame, Pixels, dict[str, float]]
Estimated = tuple[Frame, NDArray[np.float32], dict[str, float]]
