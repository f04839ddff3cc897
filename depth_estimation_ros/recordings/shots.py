# SPDX-License-Identifier: Apache-2.0
"""A camera's images with the calibration and the depth of their moments, as a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .cameras import Camera
from .errors import RecordingError
from .recording import Record, Recording
from .video_messages import VIDEO, VideoStream

TOLERANCE = 20_000_000
"""Nanoseconds by which a depth camera's stamp may differ from the colour camera's, as a rule."""

MOST_TOLERANCE = 100_000_000
"""Nanoseconds by which another sensor's may; more is another moment to a robot that drives."""

WINDOW = 200_000_000
"""Nanoseconds of recording for which an image waits for its calibration."""

LATENESS = 2_000_000_000
"""Nanoseconds of recording for which an image waits for truth, unless too many wait."""

MOST = 64
"""Messages of a topic that are held at most."""

MOST_IMAGES = 24
"""Images that wait longer than WINDOW at most, 0.8 s at 30 Hz: raw ones of 4K are 25 MB each."""


@dataclass(frozen=True)
class Shot:
    """One moment of a camera."""

    image: Record
    info: Record | None = None
    truth: Record | None = None
    """What another sensor knows of the moment: depth, 16UC1 millimetres or 32FC1 metres, raw or
    compressed; or a scan, or a cloud, where the camera's ``truth`` names such a topic."""


def stamp_of(message: Any) -> int:
    """Return the capture time in a message's header, in nanoseconds."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def shots(recording: Recording, camera: Camera,
          broken: Callable[[Record, str], None] | None = None, *,
          tolerance: int = TOLERANCE) -> Iterator[Shot]:
    """
    Yield a camera's images in the order of recording, each with what belongs to it.

    A broken message is passed over, and a change within a topic is served; both are named in the
    recording's warnings.

    :param broken: called with each image that is passed over and the reason.
    :param tolerance: nanoseconds between the stamps of an image and its truth, at most.
    """
    pairing, watch = _Pairing(camera, tolerance), _Watch(recording, broken)
    topics = [topic for topic in (camera.image, camera.info, camera.truth) if topic]
    for record in _images_of(recording, camera.image, topics):
        if watch.is_sound(record, record.topic == camera.image):
            pairing.add(record)
            yield from pairing.complete(record.time)
    yield from pairing.complete(None)
    watch.sum_up()


def _images_of(recording: Recording, image: str, topics: list[str]) -> Iterator[Record]:
    """Yield records, in place of a video's packets the images that they become."""
    if recording.topics.get(image) not in VIDEO:
        yield from recording.records(topics)
        return
    stream = VideoStream()
    for record in recording.records(topics):
        yield from stream.images(record) if record.topic == image else (record,)
    yield from stream.flush()


@dataclass
class _Pairing:
    """The images that wait, and the messages of which one may belong to them."""

    camera: Camera
    tolerance: int
    images: deque[Record] = field(default_factory=deque)
    infos: deque[Record] = field(default_factory=lambda: deque(maxlen=MOST))
    truths: deque[Record] = field(default_factory=lambda: deque(maxlen=MOST))

    def add(self, record: Record) -> None:
        """Take a record in."""
        if record.topic == self.camera.image:
            self.images.append(record)
        elif record.topic == self.camera.info:
            self.infos.append(record)
        else:
            self.truths.append(record)

    def complete(self, now: int | None) -> Iterator[Shot]:
        """Yield the images that need not wait longer; all, when now is None."""
        while self.images and (now is None or self._has_all(now)):
            image = self.images.popleft()
            yield Shot(image, _nearest(self.infos, image), self._truth(image))
            self._forget(self.images[0] if self.images else image)

    def _has_all(self, now: int) -> bool:
        image = self.images[0]
        waited, stamp = now - image.time, stamp_of(image.message)
        soon = 0 < waited <= WINDOW  # not where the recording's times stand still
        if len(self.images) > (MOST if soon else MOST_IMAGES):
            return True
        return (not self.camera.info or waited > WINDOW or _newest(self.infos) >= stamp) and (
            not self.camera.truth or waited > LATENESS or _newest(self.truths) >= stamp)

    def _truth(self, image: Record) -> Record | None:
        nearest = _nearest(self.truths, image)
        if nearest is None or abs(_between(nearest, image)) > self.tolerance:
            return None
        return nearest

    def _forget(self, oldest: Record) -> None:
        """Drop what is too old for the images to come, but for the last calibration."""
        while self.truths and self._is_past(self.truths[0], oldest):
            self.truths.popleft()
        while len(self.infos) > 1 and self._is_past(self.infos[1], oldest):
            self.infos.popleft()

    def _is_past(self, record: Record, oldest: Record) -> bool:
        """Compare stamps, as images may be recorded late, and times, as stamps may jump back."""
        return (_between(record, oldest) < -self.tolerance
                and record.time < oldest.time - WINDOW)


def _newest(records: deque[Record]) -> int:
    return stamp_of(records[-1].message) if records else -1


def _between(record: Record, image: Record) -> int:
    """Return by how much a record's stamp is later than an image's."""
    return stamp_of(record.message) - stamp_of(image.message)


def _nearest(records: deque[Record], image: Record) -> Record | None:
    """Return what has the stamp nearest to an image's; where stamps stand still, the time."""
    return min(records, default=None, key=lambda record: (
        abs(_between(record, image)), abs(record.time - image.time)))


class _Watch:
    """Notices what is strange in the messages of one camera."""

    def __init__(self, recording: Recording,
                 broken: Callable[[Record, str], None] | None) -> None:
        self._recording, self._report = recording, broken
        self._looks: dict[str, str] = {}
        self._stamp = -1
        self._broken = self._late = self._doubled = 0

    def is_sound(self, record: Record, is_image: bool) -> bool:
        """Say whether a message can be decoded, and note what it changes."""
        try:
            message = record.message
        except RecordingError as error:
            if not self._broken:
                self._recording.warn(f'{self._recording.name}: {record.topic}: {error}')
            self._broken += 1
            if is_image and self._report is not None:
                self._report(record, str(error))
            return False
        self._compare(record.topic, _look(message))
        if is_image:
            stamp = stamp_of(message)
            self._late += stamp < self._stamp
            self._doubled += stamp == self._stamp
            self._stamp = stamp
        return True

    def _compare(self, topic: str, look: str) -> None:
        before = self._looks.setdefault(topic, look)
        if look != before:
            self._recording.warn(f'{self._recording.name}: {topic} changes within the recording: '
                                 f'{before}, then {look}')
            self._looks[topic] = look

    def sum_up(self) -> None:
        """Note how many images were out of order, doubled or broken."""
        for count, what in ((self._broken, 'messages cannot be decoded and are passed over'),
                            (self._late, 'images have an earlier stamp than the one before'),
                            (self._doubled, 'images have the stamp of the one before')):
            if count:
                self._recording.warn(f'{self._recording.name}: {count} {what}')


def _look(message: Any) -> str:
    """Return what of a message stays the same as long as its camera does."""
    is_cloud = hasattr(message, 'point_step')  # whose size is the number of its points
    size = f'{message.width}x{message.height} ' if (
        hasattr(message, 'width') and not is_cloud) else ''
    kind = getattr(message, 'encoding', getattr(message, 'format', ''))
    return f"{size}{kind} in frame '{message.header.frame_id}'"
