# SPDX-License-Identifier: Apache-2.0
"""Every frame once, in order: decoded ahead, estimated in batches, dropped for a named reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from ..core import frame as core_frame
from ..core.errors import DepthError, DeviceLostError, ImageError
from ..recordings import Shot
from ..ros.camera_info import focal_length_of
from ..ros.codec import CodecError, decode
from ..ros.decoder import CameraDecoder
from ..ros.frame_statistics import FAILED, UNDECODABLE, UNSUITABLE
from .network import Depth, Network, Pixels

AHEAD = 4
"""Frames that are decoded beyond the batch that comes next."""


@dataclass
class Frame:
    """A shot on its way through; it ends with depth, or with the reason why it has none."""

    shot: Shot
    pixels: Pixels | None = None
    """uint8 RGB, H×W×3."""
    depth: Depth | None = None
    """float32 metres, H×W, by REP 117."""
    reason: str = ''
    """As in the node's frame statistics."""
    explanation: str = ''

    def drop(self, reason: str, error: Exception) -> None:
        """Note why there is no depth."""
        self.reason, self.explanation = reason, str(error)


def _seen(frame: Frame) -> core_frame.Frame:
    """Return what the network is given of a decoded frame: its pixels and the focal length."""
    assert frame.pixels is not None
    height, width = frame.pixels.shape[:2]
    info = frame.shot.info
    return core_frame.Frame(frame.pixels, None if info is None else (
        focal_length_of(info.message, width, height)))


class Decoders:
    """A thread for each image topic: what is learnt of a camera depends on its order."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._decoders: dict[str, CameraDecoder] = {}

    def start(self, shot: Shot) -> Future[Frame]:
        """Begin to decode; the result has pixels or a reason."""
        return self._thread(shot.image.topic).submit(self._decoded, shot)

    def learn(self, shot: Shot) -> None:
        """Let the camera's decoder learn from an image that is not wanted."""
        topic = shot.image.topic
        self._thread(topic).submit(self._decoders[topic].learn, shot.image.message).result()

    def close(self) -> None:
        """End the threads; what has not begun is left."""
        for thread in self._threads.values():
            thread.shutdown(cancel_futures=True)

    def _thread(self, topic: str) -> ThreadPoolExecutor:
        if topic not in self._threads:
            self._threads[topic] = ThreadPoolExecutor(1, f'decode{topic.replace("/", "_")}')
            self._decoders[topic] = CameraDecoder(topic, decode)
        return self._threads[topic]

    def _decoded(self, shot: Shot) -> Frame:
        frame = Frame(shot)
        try:
            frame.pixels = self._decoders[shot.image.topic](shot.image.message)
        except CodecError as error:
            frame.drop(UNDECODABLE, error)
        return frame


def decoded(shots: Iterable[Shot], decoders: Decoders, ahead: int = AHEAD) -> Iterator[Frame]:
    """Yield the shots as frames in their order, decoded some frames ahead."""
    waiting: deque[Future[Frame]] = deque()
    for shot in shots:
        waiting.append(decoders.start(shot))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class Pipeline:
    """Decodes, estimates and hands out frames; the network works while a batch is written."""

    def __init__(self, network: Network, *, settle: bool = False) -> None:
        """
        Start the threads when the first frame comes.

        :param settle: whether the depth must not depend on when a faster network is ready.
        """
        self._network, self._settle = network, settle
        self.decoders = Decoders()

    def frames(self, shots: Iterable[Shot], decoders: Decoders | None = None) -> Iterator[Frame]:
        """
        Yield each shot as a frame with depth or a reason, in their order.

        :param decoders: of a recording whose cameras are not those of others by the same topics.
        """
        batch = self._network.batch
        stream = decoded(shots, decoders or self.decoders, batch + AHEAD)
        running: list[Frame] = []
        wait: Callable[[], None] | None = None
        while frames := list(islice(stream, batch)):
            if wait is not None:
                wait()
            done, running, wait = running, frames, self._begin(frames)
            yield from done
        if wait is not None:
            wait()
        yield from running

    def close(self) -> None:
        """End the threads."""
        self.decoders.close()

    def _begin(self, frames: list[Frame]) -> Callable[[], None]:
        """Submit what was decoded; where a batch fails each image runs alone."""
        taken = [frame for frame in frames if frame.pixels is not None]
        images = [_seen(frame) for frame in taken]
        if not taken:
            return lambda: None
        try:
            if self._settle:
                self._network.settle([image.image for image in images])
            wait = self._network.submit(images)
        except DeviceLostError:
            raise
        except (DepthError, RuntimeError) as error:
            return partial(self._fail, taken, error)

        def finish() -> None:
            try:
                depths = wait()
            except DeviceLostError:
                raise
            except (DepthError, RuntimeError) as error:
                self._fail(taken, error)
                return
            for frame, depth in zip(taken, depths, strict=True):
                frame.depth = depth
        return finish

    def _fail(self, frames: list[Frame], error: Exception) -> None:
        if len(frames) > 1:
            for frame in frames:
                self._begin([frame])()
        else:
            frames[0].drop(UNSUITABLE if isinstance(error, ImageError) else FAILED, error)
