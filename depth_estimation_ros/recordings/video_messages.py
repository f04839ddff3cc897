# SPDX-License-Identifier: Apache-2.0
"""Images that were recorded as the packets of a video: decoded in their order, by PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

from .errors import RecordingError
from .recording import Record
from .types import COMPRESSED_VIDEO, FFMPEG_PACKET, IMAGE, Types, standard_types

VIDEO = (COMPRESSED_VIDEO, FFMPEG_PACKET)

CODECS = {'264': 'h264', 'avc': 'h264', 'hevc': 'hevc', '265': 'hevc', 'av1': 'av1', 'vp9': 'vp9'}
"""FFmpeg's decoder for what stands in a format, which may name an encoder, as h264_nvenc."""

REORDERED = 16
"""Pictures by which an encoder may put one later than its packet, H.264's most."""


@dataclass(frozen=True)
class Undecodable(Record):
    """A packet that no picture came of."""

    reason: str = ''

    @property
    def message(self) -> Any:  # type: ignore[override]
        """Say why there is none."""
        raise RecordingError(self.reason)


class VideoStream:
    """The decoder of one topic; packets build on those before them."""

    def __init__(self) -> None:
        """Begin; the codec is known with the first packet."""
        self._codec: Any = None
        self._waiting: dict[int, tuple[Record, Any]] = {}
        self._count = 0
        self._types = Types()

    def images(self, record: Record) -> Iterator[Record]:
        """
        Yield what a packet completes: images of type sensor_msgs/Image, rgb8, at its time.

        A packet that no picture came of is yielded too; reading its message raises.
        """
        import av
        try:
            header, name = header_of(record.message), codec_of(record.message)
            self._codec = self._codec or _decoder(name)
        except RecordingError as error:
            yield _without(record, str(error))
            return
        packet = av.Packet(bytes(record.message.data))
        packet.pts = packet.dts = self._count
        self._waiting[self._count] = record, header
        self._count += 1
        try:
            decoded = self._codec.decode(packet)
        except av.error.FFmpegError as error:
            del self._waiting[packet.pts]
            yield _without(record, f'no {name} picture: {error.strerror}')
            return
        yield from self._completed(decoded)

    def flush(self) -> Iterator[Record]:
        """Yield what the decoder still holds, when the last packet has been given."""
        import av
        if self._codec is not None:
            with suppress(av.error.FFmpegError):
                yield from self._completed(self._codec.decode(None))
        yield from self._lost(self._count)

    def _completed(self, frames: list[Any]) -> Iterator[Record]:
        for frame in frames:
            yield from self._lost(frame.pts - REORDERED)
            found = self._waiting.pop(frame.pts, None)
            if found is not None:
                record, header = found
                yield Record(record.topic, IMAGE, record.time,
                             _image(header, frame.to_ndarray(format='rgb24')), self._types)

    def _lost(self, before: int) -> Iterator[Record]:
        """Yield the packets whose picture will not come any more."""
        for number in [number for number in self._waiting if number < before]:
            yield _without(self._waiting.pop(number)[0],
                           'no picture came of it: the packets before it are missing, from the '
                           'last key frame on')


def require(topic: str) -> None:
    """Raise RecordingError where there is nothing that decodes video messages."""
    if find_spec('av') is None:
        raise RecordingError(f'{topic} holds the packets of a video, which PyAV decodes: pip '
                             'install av')


def description_of(record: Record) -> Any:
    """
    Return what a camera is told by: the header of a packet's image, and the codec as its format.

    :raises RecordingError: where it cannot be decoded here.
    """
    require(record.topic)
    return SimpleNamespace(header=header_of(record.message), format=codec_of(record.message))


def header_of(message: Any) -> Any:
    """Return the header of a packet's image."""
    if hasattr(message, 'header'):
        return message.header
    return standard_types().types['std_msgs/msg/Header'](message.timestamp, message.frame_id)


def codec_of(message: Any) -> str:
    """
    Return FFmpeg's name of the codec.

    :raises RecordingError: for one that is none of :data:`CODECS`.
    """
    named = str(getattr(message, 'format', getattr(message, 'encoding', '')))
    for part, codec in CODECS.items():
        if part in named.lower():
            return codec
    raise RecordingError(f"'{named}' is no video codec known here: {', '.join(CODECS)}")


def _decoder(name: str) -> Any:
    import av
    codec = av.CodecContext.create(name, 'r')
    codec.thread_count = 1  # threads would hold back a picture each
    return codec


def _without(record: Record, reason: str) -> Undecodable:
    return Undecodable(record.topic, record.type, record.time, record.data, record.types, reason)


def _image(header: Any, rgb: Any) -> bytes:
    """Return an rgb8 image as CDR."""
    height, width, _ = rgb.shape
    store = standard_types()
    message = store.types[IMAGE](header, height, width, 'rgb8', 0, 3 * width,
                                 np.ascontiguousarray(rgb).reshape(-1))
    return bytes(store.serialize_cdr(message, IMAGE))
