"""Where a played-back camera's images come from: a folder, a video, or a rosbag2 directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..ros import codec
from ..ros.compressed import decompress

PICTURES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.mkv', '.mov', '.mp4', '.webm')

TRUTH_TOLERANCE = 20_000_000
"""Nanoseconds by which a depth camera's stamp may differ from the colour camera's."""

MESSAGES = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage,
            'sensor_msgs/msg/CameraInfo': CameraInfo}


class SourceError(ValueError):
    """A path that holds no images; the text says what was looked for."""


@dataclass(frozen=True)
class Shot:
    """One moment of the source."""

    image: Image | CompressedImage
    info: CameraInfo | None = None
    truth: Image | None = None
    """Ground-truth depth, 16UC1 millimetres or 32FC1 metres, 0 or NaN where unknown."""

    def raw(self) -> Image:
        """Return the image uncompressed; raises CodecError when it is broken."""
        if isinstance(self.image, Image):
            return self.image
        return codec.encode(decompress(self.image), 'rgb8', self.image.header)


def open_source(path: Path) -> Iterator[Shot]:
    """
    Yield the shots of a folder of pictures, a video file, or a rosbag2 directory.

    :raises SourceError: when the path is none of these.
    """
    if (path / 'metadata.yaml').is_file():
        return _bag(path)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() in VIDEOS and path.is_file():
        return _video(path)
    raise SourceError(f'{path} is not a folder of pictures ({", ".join(PICTURES)}), a video '
                      f'({", ".join(VIDEOS)}) or a rosbag2 directory (with metadata.yaml)')


def _folder(path: Path) -> Iterator[Shot]:
    pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
    if not pictures:
        raise SourceError(f'{path} holds no picture ({", ".join(PICTURES)})')
    for picture in pictures:
        pixels = cv2.imread(str(picture), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SourceError(f'{picture} is not a picture that OpenCV can read')
        yield Shot(codec.encode(pixels, 'bgr8', _header()))


def _video(path: Path) -> Iterator[Shot]:
    video = cv2.VideoCapture(str(path))
    try:
        found, pixels = video.read()
        if not found:
            raise SourceError(f'{path} is not a video that OpenCV can read')
        while found:
            yield Shot(codec.encode(pixels, 'bgr8', _header()))
            found, pixels = video.read()
    finally:
        video.release()


def _header() -> Header:
    return Header(frame_id='camera_optical_frame')


def _bag(path: Path) -> Iterator[Shot]:
    topics = _read_topics(path)
    images = _first(topics, _is_colour, f'{path} holds no colour image topic')
    infos: list[CameraInfo] = _first(topics, lambda message: isinstance(message, CameraInfo))
    truths = [_as_depth(message) for message in _first(topics, _is_depth)]
    stamps = np.array([_nanoseconds(truth) for truth in truths], np.int64)
    for image in images:
        truth = None
        if len(stamps):
            gaps = np.abs(stamps - _nanoseconds(image))
            nearest = int(gaps.argmin())
            truth = truths[nearest] if gaps[nearest] <= TRUTH_TOLERANCE else None
        yield Shot(image, infos[0] if infos else None, truth)


def _read_topics(path: Path) -> dict[str, list[Any]]:
    topics: dict[str, list[Any]] = {}
    with Reader(path) as reader:
        for connection, _, data in reader.messages():
            if connection.msgtype in MESSAGES:
                topics.setdefault(connection.topic, []).append(
                    deserialize_message(bytes(data), MESSAGES[connection.msgtype]))
    return topics


def _first(topics: dict[str, list[Any]], wanted: Any, fault: str = '') -> list[Any]:
    """Return the messages of the first topic that is wanted; raises SourceError with a fault."""
    for topic in sorted(topics):
        if wanted(topics[topic][0]):
            return topics[topic]
    if fault:
        raise SourceError(fault)
    return []


def _is_colour(message: Any) -> bool:
    if isinstance(message, CompressedImage):
        return not _is_depth(message)
    return isinstance(message, Image) and message.encoding.lower() in codec.ENCODINGS


def _is_depth(message: Any) -> bool:
    if isinstance(message, CompressedImage):
        return str(message.format).startswith(('16UC1', '32FC1'))
    return isinstance(message, Image) and message.encoding in ('16UC1', '32FC1')


def _as_depth(message: Image | CompressedImage) -> Image:
    if isinstance(message, Image):
        return message
    pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise SourceError(f"a ground-truth message of format '{message.format}' is not a PNG")
    return codec.encode(pixels, '16UC1', message.header)


def _nanoseconds(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)
