# SPDX-License-Identifier: Apache-2.0
"""One pass over a recording, part by part: all that was there, and beside it what is estimated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from typing import Any, Generic, Protocol, TypeVar

from rosbags.interfaces import Qos
from tqdm import tqdm

from ..core.colour import Colouriser
from ..recordings import Recording, RecordingError, Shot, Writer, shots
from ..recordings.qos import profiles_of, reliable
from .account import Account
from .added import Outputs, ProcessOptions
from .frames import Frame, Pipeline
from .messages import image_bytes, info_bytes
from .network import Network

QOS = reliable(2)
"""What the node offers."""

T = TypeVar('T')


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


class Ends:
    """Where the parts of a recording end; its gaps make no parts."""

    def __init__(self, seconds: float) -> None:
        self._start: int | None = None
        self._period = round(seconds * 10**9)

    def of(self, time: int) -> int:
        """Return the end of the part with a time, both in nanoseconds; the first has the start."""
        if self._start is None:
            self._start = time
        return self._start + ((time - self._start) // self._period + 1) * self._period

    def count(self, times: Iterable[int]) -> int:
        """Return how many parts records make, by their times, which need not be in order."""
        parts, end = 0, None
        for time in times:
            if end is None or time >= end:
                parts, end = parts + 1, self.of(time)
        return parts


def offered_profiles(recording: Recording) -> dict[str, list[Qos]]:
    """Return each topic's QoS profiles; none, and a warning, where the recording's are damaged."""
    found: dict[str, list[Qos]] = {}
    for topic, channel in recording.channels.items():
        try:
            found[topic] = profiles_of(channel.qos)
        except RecordingError as error:
            found[topic] = []
            recording.warn(f'{recording.name}: {topic} is copied without its QoS: {error}')
    return found


class Target(Protocol):
    """Where finished parts go."""

    def writer(self, number: int) -> Writer:
        """Return what writes a part."""

    def finish(self, number: int, accounts: Mapping[str, Any]) -> None:
        """Take in a part that its writer has closed, and what became of its frames."""


class Process:
    """One pass over a recording, part by part: each is made, or passed by."""

    def __init__(self, recording: Recording, outputs: list[Outputs], options: ProcessOptions,
                 network: Network, target: Target, progress: tqdm) -> None:
        """Begin at the first part; nothing is read before that is asked for."""
        self.part = 0
        """The number of the part that comes next."""
        self._recording, self._target, self._progress = recording, target, progress
        self._outputs = {one.camera.image: one for one in outputs}
        self._profiles = offered_profiles(recording)
        self._broken: dict[str, deque[tuple[int, str]]] = {
            topic: deque() for topic in self._outputs}
        self._ends = Ends(options.part)
        self._colourise = Colouriser('turbo', 0.0, options.preview_far)
        self._pipeline = Pipeline(network, settle=True)
        self._records = Ahead(recording.records(), lambda record: record.time)
        self._shots = Ahead(merge(*map(self._shots_of, self._outputs.values()),
                                  key=lambda shot: shot.image.time),
                            lambda shot: shot.image.time)

    @property
    def is_done(self) -> bool:
        """Whether the recording is at its end."""
        return self._records.peek() is None

    def pass_by(self) -> None:
        """Go past a part; its images teach the decoders what they know of their camera."""
        end = self._end()
        for shot in self._shots.before(end):
            self._pipeline.decoders.learn(shot)
            self._progress.update()
        for _ in self._records.before(end):
            pass
        for _ in self._broken_before(end):
            pass
        self.part += 1

    def make(self) -> dict[str, Any]:
        """Make a part and finish it; return the account of each image topic, as JSON has it."""
        accounts, end = {topic: Account() for topic in self._outputs}, self._end()
        with self._target.writer(self.part) as writer:
            self._declare(writer)
            for frame in self._pipeline.frames(self._shots.before(end)):
                self._copy(writer, frame.shot.image.time + 1)
                accounts[frame.shot.image.topic].count(frame)
                self._add(writer, frame)
                self._progress.update()
            self._copy(writer, end)
        for topic, reason in self._broken_before(end):
            accounts[topic].broken(reason)
        found = {topic: account.as_json() for topic, account in accounts.items()}
        self._target.finish(self.part, found)
        self.part += 1
        return found

    def close(self) -> None:
        """End the threads; the network is the caller's."""
        self._pipeline.close()

    def _end(self) -> int:
        first = self._records.peek()
        assert first is not None, 'the recording is at its end'
        return self._ends.of(first.time)

    def _shots_of(self, outputs: Outputs) -> Iterator[Shot]:
        broken = self._broken[outputs.camera.image]
        return shots(self._recording, outputs.camera,
                     lambda record, reason: broken.append((record.time, reason)))

    def _broken_before(self, end: int) -> Iterator[tuple[str, str]]:
        """Yield the topics and faults of the messages before a time that are no images."""
        for topic, broken in self._broken.items():
            while broken and broken[0][0] < end:
                yield topic, broken.popleft()[1]

    def _declare(self, writer: Writer) -> None:
        for topic, channel in self._recording.channels.items():
            writer.add_topic(topic, channel.type, definition=channel.definition,
                             qos=self._profiles[topic], opaque=True)
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
