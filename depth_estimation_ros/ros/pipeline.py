# SPDX-License-Identifier: Apache-2.0
"""The way of a frame: decoded, estimated in a batch, published; or dropped for a named reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock
from time import monotonic, perf_counter
from typing import Any

from ..core.errors import DepthError, DeviceLostError, ImageError
from ..core.frame import Frame as View
from ..core.frame import Prediction
from ..core.maps import Maps
from . import codec
from .calibrations import CameraCalibration, UncalibratedError
from .converter import Decode
from .decoder import CameraDecoder
from .finishing import Finished, Finishing
from .frame_statistics import (
    FAILED,
    TOO_OLD,
    UNCALIBRATED,
    UNDECODABLE,
    UNPROMPTED,
    UNSUITABLE,
    UNWANTED,
)
from .mailbox import Frame
from .model import Model, Source, Wait
from .outputs import Output, prepare
from .prompts import PromptError
from .settings import Settings
from .shaping import Shaping


@dataclass(frozen=True)
class Task:
    """A frame that is served."""

    frame: Frame
    view: View
    outputs: tuple[Output, ...]
    """Those that were subscribed to when it was begun."""
    stages: dict[str, float]
    """The seconds that each stage took so far."""
    source: Source
    """What its depth will be made by."""


@dataclass(frozen=True)
class Batch:
    """Frames that were handed to the network together."""

    tasks: list[Task]
    shaping: Shaping
    started: float
    """When, on the performance counter."""
    wait: Wait


@dataclass(frozen=True)
class Estimated:
    """A frame whose depth is on its way to the host."""

    task: Task
    finished: Finished
    shaping: Shaping
    network: float
    """The seconds that its batch was in the network."""
    finishing: float
    """The seconds that its maps took since, or took to be begun with on a GPU."""


class Pipeline:
    """
    Takes frames from the message to the published depth; not for several threads at once.

    :meth:`configure` may be called from any thread.
    """

    def __init__(self, estimator: Model, decode: Decode, *, settings: Settings,
                 now: Callable[[], float], warn: Callable[[str, str], None],
                 calibrations: Mapping[str, CameraCalibration] | None = None) -> None:
        """
        Prepare the outputs.

        :param now: the node's clock in seconds.
        :param warn: called with a camera's topic prefix and a sentence about a dropped frame.
        :param calibrations: of the cameras that have one, by their names.
        """
        self.in_progress: list[Frame] = []
        """The frames that are begun and neither published nor dropped."""
        self._estimator, self._decode = estimator, decode
        self._decoders: dict[Any, CameraDecoder] = {}
        self._now, self._warn = now, warn
        self._finishing = Finishing(calibrations or {})
        self._models = 0
        self._changing = Lock()
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Use new settings from the next frame on; a frame in progress keeps the old ones."""
        with self._changing:
            self._shaping = self._shaped_by(settings)

    @property
    def max_batch(self) -> int:
        """The most frames to begin with at once."""
        return self._shaping.settings.serving.max_batch

    def serve(self, frames: list[Frame], waiting: Callable[[], list[Frame] | None]) -> None:
        """
        Serve frames, on a GPU also those that come while they are published.

        :param waiting: takes what has come since, without waiting for more.
        """
        batch: Batch | None = self.begin(frames)
        while batch is not None:
            estimated = self.finish(batch)
            batch = None
            if self._estimator.overlaps:
                estimated = iter(list(estimated))  # before the device goes on with the next ones
                following = waiting()
                batch = self.begin(following) if following else None
            for each in estimated:
                self.publish(each)

    def begin(self, frames: list[Frame]) -> Batch:
        """Decode frames and hand them to the network as one batch."""
        self.in_progress = self.in_progress + frames
        if self._estimator.adopt():
            self._models += 1
            with self._changing:  # its range may be another
                self._shaping = self._shaped_by(self._shaping.settings)
        shaping, taken = self._shaping, monotonic()
        tasks = [self._task(frame, shaping, taken) for frame in frames]
        return self._submitted([task for task in tasks if task is not None], shaping)

    def finish(self, batch: Batch) -> Iterator[Estimated]:
        """
        Wait for a batch and have its frames finished, one after the other as they are asked for.

        Where the batch fails its images run alone, so that one harms no other.
        """
        try:
            found = batch.wait()
        except DeviceLostError:
            raise
        except (DepthError, RuntimeError) as error:
            if len(batch.tasks) == 1:
                self.drop(batch.tasks[0].frame, FAILED, f'the network failed: {error}')
                return
            for task in batch.tasks:
                yield from self.finish(self._submitted([task], batch.shaping))
            return
        network = perf_counter() - batch.started
        for task, maps in zip(batch.tasks, found, strict=True):
            started = perf_counter()
            finished = self._finished(task, maps, batch.shaping)
            if finished is not None:
                yield Estimated(task, finished, batch.shaping, network, perf_counter() - started)

    def publish(self, estimated: Estimated) -> None:
        """Publish what was wanted of a frame, or drop it, and look at what came beside it."""
        started, task, finished = perf_counter(), estimated.task, estimated.finished
        try:
            arrived = finished.arrive()
        except DeviceLostError:
            raise
        except RuntimeError as error:
            self.drop(task.frame, FAILED, f'its depth was lost on the way to the host: {error}')
            return
        if arrived.found is None:
            self.drop(task.frame, UNCALIBRATED, finished.fault)
        elif not self._too_old(task.frame, estimated.shaping.settings.serving.max_age):
            if arrived.steadied is not None:
                task.frame.camera.steadied = arrived.steadied
            self._publish(estimated, arrived.found, started)
        self._finishing.look(arrived.sample, finished.lens, task.frame, task.source)

    def _finished(self, task: Task, maps: Maps, shaping: Shaping) -> Finished | None:
        """Begin to finish a frame; None where that failed, which harms no other frame."""
        try:
            return self._finishing(maps, task.frame, task.view, task.source, shaping)
        except DeviceLostError:
            raise
        except Exception as error:  # a frame's boundary: the others go on
            self.drop(task.frame, FAILED, f'finishing its depth failed: {error!r}')
            return None

    def _publish(self, estimated: Estimated, found: Prediction, started: float) -> None:
        task = estimated.task
        try:
            task.frame.camera.publish(task.frame.message.header, found, task.outputs,
                                      task.view.image)
        except RuntimeError as error:
            self.drop(task.frame, FAILED, f'publishing failed: {error}')
            return
        self._end(task.frame)
        task.frame.camera.statistics.publish({
            **task.stages, 'network': estimated.network,
            'publish': estimated.finishing + perf_counter() - started,
            'total': self._age(task.frame)})

    def drop(self, frame: Frame, reason: str, explanation: str) -> None:
        """Give a frame up, and say why."""
        self._end(frame)
        frame.camera.statistics.drop(reason, explanation)
        self._warn(f'{frame.camera.name} {reason}'.strip(), explanation)

    def _shaped_by(self, settings: Settings) -> Shaping:
        limits = settings.range.limits(self._estimator.range[1])
        return Shaping(settings, limits, prepare(settings.outputs, limits))

    def _task(self, frame: Frame, shaping: Shaping, taken: float) -> Task | None:
        """Decide what is wanted of a frame and decode it; None where it is dropped."""
        started = perf_counter()
        wanted = frame.camera.wanted()
        if not wanted:
            self._end(frame)
            frame.camera.statistics.drop(UNWANTED)
            return None
        seen = self._seen(frame, shaping.settings.prompt.slop)
        if seen is None:
            return None
        outputs = tuple(output for output in shaping.outputs if output.topic in wanted)
        for output in outputs:
            if reason := shaping.silent_because(output):
                self._warn(f'{frame.camera.name} {output.topic}'.strip(), reason)
        return Task(frame, seen[0], outputs, {
            'wait': taken - frame.received, 'decode': perf_counter() - started}, seen[1])

    def _seen(self, frame: Frame, slop: float) -> tuple[View, Source] | None:
        """Decode a frame, add what is known beside it, and by what; None where it is dropped."""
        decoder = self._decoders.get(frame.camera)
        if decoder is None:
            decoder = self._decoders[frame.camera] = CameraDecoder(frame.camera.name, self._decode)
        try:
            pixels = decoder(frame.message)
            height, width = pixels.shape[:2]
            view = View(pixels,
                        frame.camera.focal_length(frame.message.header, width, height),
                        frame.camera.prompt(frame.stamp, slop, (height, width)),
                        frame.camera.name)
            return view, self._source(frame.camera.name, view)
        except codec.CodecError as error:
            self.drop(frame, UNDECODABLE, str(error))
        except ImageError as error:
            self.drop(frame, UNSUITABLE, str(error))
        except PromptError as error:
            self.drop(frame, UNPROMPTED, str(error))
        except UncalibratedError as error:
            self.drop(frame, UNCALIBRATED, str(error))
        except DeviceLostError:
            raise
        except Exception as error:  # a frame's boundary: the others go on
            self.drop(frame, FAILED, f'preparing it failed: {error!r}')
        return None

    def _source(self, camera: str, view: View) -> Source:
        """Return what serves now; raises UncalibratedError where it cannot serve a lens."""
        seen = self._estimator.network_size(view)
        return Source(self._models, self._estimator.quantity_of(view),
                      self._finishing.lens_factor(camera, view), seen, self._estimator.domain)

    def _submitted(self, tasks: list[Task], shaping: Shaping) -> Batch:
        """Hand images to the network; where it fails at once, :meth:`finish` is told."""
        started = perf_counter()
        try:
            wait: Wait = self._estimator.submit(
                [task.view for task in tasks],
                flip=shaping.settings.serving.flip_augmentation) if tasks else list
        except DeviceLostError:
            raise
        except (DepthError, RuntimeError) as error:
            wait = partial(_raise, error)
        return Batch(tasks, shaping, started, wait)

    def _too_old(self, frame: Frame, limit: float) -> bool:
        """Drop a frame that was captured too long ago; return whether it was."""
        age = self._age(frame)
        if not limit or age <= limit:
            return False
        self.drop(frame, TOO_OLD, f'captured {age:.3f} s ago, more than max_age ({limit} s); two '
                  'hosts need clocks of one source (chrony), simulated stamps use_sim_time')
        return True

    def _age(self, frame: Frame) -> float:
        """Return the seconds since the capture; since the arrival where it has no stamp."""
        return self._now() - frame.stamp if frame.stamp else monotonic() - frame.received

    def _end(self, frame: Frame) -> None:
        self.in_progress = [other for other in self.in_progress if other is not frame]


def _raise(error: Exception) -> list[Maps]:
    raise error
