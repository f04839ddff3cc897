# SPDX-License-Identifier: Apache-2.0
"""A bag into a bag with depth: all that was there, and beside each camera what was estimated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from heapq import merge
from pathlib import Path
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from .. import __version__
from ..core.colour import Colouriser
from ..recordings import (
    CAMERA_INFO,
    IMAGE,
    Camera,
    Record,
    Recording,
    RecordingError,
    Shot,
    Writer,
    find_cameras,
    open_recording,
    shots,
)
from ..recordings.cameras import namespace
from ..recordings.qos import reliable
from .account import Account
from .frames import Frame, Pipeline
from .messages import image_bytes, info_bytes
from .network import Network, NetworkOptions
from .partial import Partial, source_of

QOS = reliable(2)
"""What the node offers."""

T = TypeVar('T')


@dataclass(frozen=True)
class ProcessOptions:
    """What is made of a bag."""

    images: tuple[str, ...] = ()
    """Image topics; without one the first of each namespace."""
    name: str = 'depth'
    """What the new topics are called below a camera's namespace."""
    preview: bool = False
    preview_far: float = 10.0
    """Metres of the preview's last colour."""
    part: float = 30.0
    """Seconds of recording in one file, which is what a kill can cost."""


@dataclass(frozen=True)
class Outputs:
    """The topics that are added for one camera."""

    camera: Camera
    depth: str
    info: str | None
    preview: str | None

    @property
    def topics(self) -> dict[str, str]:
        """The types by topic."""
        named = {self.depth: IMAGE, self.info: CAMERA_INFO, self.preview: IMAGE}
        return {topic: kind for topic, kind in named.items() if topic}


class Ahead(Generic[T]):
    """An iterator that can be looked at before it goes on."""

    def __init__(self, items: Iterator[T], time_of: Callable[[T], int]) -> None:
        self._items, self._time_of = items, time_of
        self._next: deque[T] = deque()

    def peek(self) -> T | None:
        """Return the next item, None at the end."""
        if not self._next:
            self._next.extend(item for item in (next(self._items, None),) if item is not None)
        return self._next[0] if self._next else None

    def before(self, end: int) -> Iterator[T]:
        """Yield the items that are earlier than ``end`` nanoseconds."""
        while (item := self.peek()) is not None and self._time_of(item) < end:
            self._next.popleft()
            yield item


def process_bag(source: str, output: Path, options: ProcessOptions, network: NetworkOptions, *,
                restart: bool = False,
                progress: tqdm) -> tuple[dict[str, Account], list[str]]:
    """
    Write a rosbag2 directory with all records of a recording and the depth of its images.

    A run that was killed is taken up where its last part ended; what comes out is the same.

    :param source: a recording of any kind.
    :param output: the directory to make; must not exist.
    :param restart: whether to throw away what an earlier run left.
    :param progress: the bar to move.
    :return: the account of each image topic, and what was strange in the recording.
    :raises RecordingError: when the recording or the output is at fault.
    :raises DepthError: when the network is.
    """
    recording = open_recording(source)
    wanted = outputs_of(recording, options)
    job = {'source': source_of(source), 'version': __version__, **asdict(network),
           **asdict(options)}
    with Partial(output, job, restart=restart) as partial:
        if partial.is_complete:
            return {}, [f'{output} was whole already: an earlier run was ended after its last '
                        'step']
        counts = [recording.channels[outputs.camera.image].count for outputs in wanted]
        progress.reset(total=None if None in counts else sum(filter(None, counts)))
        process = Process(recording, wanted, options, partial, progress)
        accounts = process.run(network)
        if not any(account.published for account in accounts.values()):
            partial.remove()
            raise RecordingError('no image has depth: ' + '; '.join(
                f'{topic}: {account}' for topic, account in accounts.items()))
        partial.publish(process.parts, {topic: account.as_json()
                                        for topic, account in accounts.items()})
    return accounts, recording.warnings


def outputs_of(recording: Recording, options: ProcessOptions) -> list[Outputs]:
    """Return what is added for each camera; raises RecordingError when a topic is taken."""
    cameras = [find_cameras(recording, image)[0] for image in options.images] or _one_each(
        find_cameras(recording))
    made = [_outputs(camera, options) for camera in cameras]
    taken = set(recording.channels)
    for outputs in made:
        for topic in outputs.topics:
            if topic in taken:
                raise RecordingError(f'{topic} is there already: choose other names by --name, '
                                     'or one image of each namespace by --image')
        taken |= outputs.topics.keys()
    return made


def _one_each(cameras: list[Camera]) -> list[Camera]:
    first: dict[str, Camera] = {}
    for camera in cameras:
        first.setdefault(namespace(camera.image), camera)
    return list(first.values())


def _outputs(camera: Camera, options: ProcessOptions) -> Outputs:
    below = f'{namespace(camera.image)}/{options.name}'
    return Outputs(Camera(camera.image, camera.info), f'{below}/image_rect',
                   f'{below}/camera_info' if camera.info else None,
                   f'{below}/preview' if options.preview else None)


class Process:
    """One pass over a recording, part by part."""

    def __init__(self, recording: Recording, outputs: list[Outputs], options: ProcessOptions,
                 partial: Partial, progress: tqdm) -> None:
        self.parts = 0
        self._recording, self._partial, self._progress = recording, partial, progress
        self._outputs = {outputs.camera.image: outputs for outputs in outputs}
        self._broken: dict[str, deque[tuple[Record, str]]] = {
            topic: deque() for topic in self._outputs}
        self._period = round(options.part * 10**9)
        self._colourise = Colouriser('turbo', 0.0, options.preview_far)
        self._records = Ahead(recording.records(), lambda record: record.time)
        self._shots = Ahead(merge(*map(self._shots_of, self._outputs.values()),
                                  key=lambda shot: shot.image.time),
                            lambda shot: shot.image.time)

    def run(self, options: NetworkOptions) -> dict[str, Account]:
        """Make the parts that are not finished; return what became of the frames of all."""
        network = Network(options)
        pipeline = Pipeline(network, settle=True)
        totals = {topic: Account() for topic in self._outputs}
        try:
            for number, end in enumerate(self._ends()):
                self.parts = number + 1
                note = self._partial.finished(number)
                found = self._pass(pipeline, end, note['accounts']) if note else self._make(
                    pipeline, number, end)
                for topic, account in found.items():
                    totals[topic].add(account)
        finally:
            pipeline.close()
            network.close()
        return totals

    def _shots_of(self, outputs: Outputs) -> Iterator[Shot]:
        broken = self._broken[outputs.camera.image]
        return shots(self._recording, outputs.camera,
                     lambda record, reason: broken.append((record, reason)))

    def _ends(self) -> Iterator[int]:
        """Yield where each part ends, in nanoseconds; gaps of the recording make no parts."""
        first = self._records.peek()
        start = first.time if first is not None else 0
        while (record := self._records.peek()) is not None:
            yield start + ((record.time - start) // self._period + 1) * self._period

    def _pass(self, pipeline: Pipeline, end: int, accounts: dict[str, Any]) -> dict[str, Any]:
        """Go past a finished part; its images are decoded for what is learnt of their camera."""
        for shot in self._shots.before(end):
            pipeline.decoders.start(shot).result()
            self._progress.update()
        for _ in self._records.before(end):
            pass
        for broken in self._broken.values():
            while broken and broken[0][0].time < end:
                broken.popleft()
        return accounts

    def _make(self, pipeline: Pipeline, number: int, end: int) -> dict[str, Any]:
        accounts = {topic: Account() for topic in self._outputs}
        with self._partial.writer(number) as writer:
            self._declare(writer)
            for frame in pipeline.frames(self._shots.before(end)):
                self._copy(writer, frame.shot.image.time + 1)
                accounts[frame.shot.image.topic].count(frame)
                self._add(writer, frame)
                self._progress.update()
            self._copy(writer, end)
        for topic, broken in self._broken.items():
            while broken and broken[0][0].time < end:
                accounts[topic].broken(broken.popleft()[1])
        found = {topic: account.as_json() for topic, account in accounts.items()}
        self._partial.finish(number, found)
        return found

    def _declare(self, writer: Writer) -> None:
        for topic, channel in self._recording.channels.items():
            writer.add_topic(topic, channel.type, definition=channel.definition, qos=channel.qos,
                             opaque=True)
        for outputs in self._outputs.values():
            for topic, kind in outputs.topics.items():
                writer.add_topic(topic, kind, qos=[QOS])

    def _copy(self, writer: Writer, end: int) -> None:
        """Write the recording's own records up to a time."""
        for record in self._records.before(end):
            writer.write(record.topic, record.time, record.data)

    def _add(self, writer: Writer, frame: Frame) -> None:
        """Write what was made of an image, under its stamp and at its time."""
        if frame.depth is None:
            return
        outputs, time = self._outputs[frame.shot.image.topic], frame.shot.image.time
        header, info = frame.shot.image.message.header, frame.shot.info
        writer.write(outputs.depth, time, image_bytes(frame.depth, '32FC1', header))
        if outputs.info and info is not None:
            writer.write(outputs.info, time, info_bytes(info.message, header, frame.depth.shape))
        if outputs.preview:
            colours = self._colourise(frame.depth)
            writer.write(outputs.preview, time, image_bytes(colours, 'bgr8', header))
