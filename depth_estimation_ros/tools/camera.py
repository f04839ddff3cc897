# SPDX-License-Identifier: Apache-2.0
"""Play a recording as a camera would: at a rate, each image stamped when sent."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..recordings import (
    COMPRESSED_IMAGE,
    Camera,
    Record,
    Recording,
    RecordingError,
    Shot,
    depth_of,
    find_cameras,
    open_recording,
    shots,
)
from ..ros import codec, compressed

SETTLE = 3.2
"""Seconds between the camera's seeing its subscribers and theirs of it: a discovery period."""


@dataclass(frozen=True)
class Moment:
    """A shot as the messages that are published of it."""

    image: Image | CompressedImage
    info: CameraInfo | None = None
    truth: Image | None = None


def moment_of(shot: Shot, transport: str = 'raw') -> Moment:
    """
    Make rclpy's messages of a shot.

    :param transport: 'compressed' leaves compressed images as they are; 'raw' decodes them.
    :raises CodecError: when the image is broken.
    :raises RecordingError: when the ground truth is.
    """
    kind = CompressedImage if shot.image.type == COMPRESSED_IMAGE else Image
    image = deserialize_message(shot.image.data, kind)
    if transport == 'raw' and kind is CompressedImage:
        image = codec.encode(compressed.decompress(image), 'rgb8', image.header)
    info = shot.info and deserialize_message(shot.info.data, CameraInfo)
    return Moment(image, info, shot.truth and _depth(shot.truth))


def _depth(record: Record) -> Image:
    """Return ground truth as an image of 16UC1 or 32FC1."""
    if record.type != COMPRESSED_IMAGE:
        return deserialize_message(record.data, Image)
    pixels = depth_of(record.message)
    header = deserialize_message(record.data, CompressedImage).header
    return codec.encode(pixels, '16UC1' if pixels.itemsize == 2 else '32FC1', header)


class PlaybackCamera(Node):
    """Publishes image or image/compressed, camera_info, and ground truth where there is any."""

    def __init__(self, transport: str = 'raw') -> None:
        super().__init__('playback_camera')
        kind, topic = ((CompressedImage, 'image/compressed') if transport == 'compressed'
                       else (Image, 'image'))
        self.image = self.create_publisher(kind, topic, qos_profile_sensor_data)
        self._info = self.create_publisher(CameraInfo, 'camera_info', qos_profile_sensor_data)
        self._truth = self.create_publisher(Image, 'ground_truth/depth', 10)

    def send(self, moment: Moment) -> None:
        """Publish one moment, all its messages under one stamp: now."""
        header = moment.image.header
        header.stamp = self.get_clock().now().to_msg()
        if moment.truth is not None:
            moment.truth.header = header
            self._truth.publish(moment.truth)
        if moment.info is not None:
            moment.info.header = header
            self._info.publish(moment.info)
        self.image.publish(moment.image)

    def wait_for_subscribers(self, count: int, timeout: float) -> bool:
        """Return whether ``count`` subscribers of the image came within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while self.image.get_subscription_count() < count and time.monotonic() < end:
            rclpy.spin_once(self, timeout_sec=0.05)
        settled = time.monotonic() + SETTLE
        while time.monotonic() < settled:
            rclpy.spin_once(self, timeout_sec=0.05)
        return bool(self.image.get_subscription_count() >= count)


def replay(recording: Recording, camera: Camera, *, frames: int = 0,
           least: int = 0) -> Iterator[Shot]:
    """
    Yield a camera's shots, from the first again when they are through and more are wanted.

    :param frames: exactly so many; 0 yields whole rounds.
    :param least: rounds are added until so many were yielded.
    :raises RecordingError: when there are none.
    """
    count = 0
    while True:
        before = count
        for shot in shots(recording, camera):
            yield shot
            count += 1
            if count == frames:
                return
        if count == before:
            raise RecordingError(f'{recording.name}: no image of {camera.image} can be read')
        if not frames and count >= least:
            return


def moments(recording: Recording, stream: Iterator[Shot], transport: str) -> Iterator[Moment]:
    """Yield the messages of each shot; broken ones are passed over and named."""
    for shot in stream:
        try:
            yield moment_of(shot, transport)
        except (codec.CodecError, RecordingError) as error:
            recording.warn(f'{recording.name}: {error}')


def play(camera: PlaybackCamera, stream: Iterator[Moment], rate: float) -> int:
    """
    Publish moments at a rate; return how many there were.

    :param rate: frames a second.
    """
    start, number = time.monotonic(), 0
    for number, moment in enumerate(stream, 1):
        due = start + (number - 1) / rate
        while (left := due - time.monotonic()) > 0:
            rclpy.spin_once(camera, timeout_sec=left)
        camera.send(moment)
    rclpy.spin_once(camera, timeout_sec=1 / rate)
    return number


def main(args: list[str] | None = None) -> int:
    """Run from the command line; prints how many frames were published as JSON."""
    options = _parser().parse_args(rclpy.utilities.remove_ros_args(args or sys.argv)[1:])
    rclpy.init(args=args)
    try:
        return _run(options)
    except RecordingError as error:
        print(f'camera: {error}', file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


def _run(options: argparse.Namespace) -> int:
    recording = open_recording(options.source)
    camera = find_cameras(recording, options.topic, options.truth)[0]
    if options.transport == 'compressed' and recording.topics[camera.image] != COMPRESSED_IMAGE:
        raise RecordingError(f'{recording.name}: {camera.image} is not compressed: play it with '
                             '--transport raw')
    node = PlaybackCamera(options.transport)
    if not node.wait_for_subscribers(options.subscribers, options.wait):
        print(f'only {node.image.get_subscription_count()} of {options.subscribers} '
              f'subscribers came within {options.wait:.0f} s', file=sys.stderr)
        return 1
    stream = replay(recording, camera, frames=options.frames, least=options.least)
    try:
        played = play(node, moments(recording, stream, options.transport), options.rate)
    finally:
        for text in recording.warnings:
            print(f'camera: {text}', file=sys.stderr)
    print(json.dumps({'frames': played}), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='camera', description=__doc__)
    parser.add_argument('source', help='rosbag2 directory, .mcap, .db3 or .bag file, folder or '
                        'glob of pictures, or video')
    parser.add_argument('--topic', default='', help="the source's image topic; without it the "
                        'first rectified or colour one')
    parser.add_argument('--truth', default='', help="the source's depth topic to publish as "
                        "ground truth; without it one in the image's frame")
    parser.add_argument('--rate', type=float, default=15.0, help='frames a second')
    parser.add_argument('--frames', type=int, default=0, help='how many; 0 plays the source once')
    parser.add_argument('--least', type=int, default=0, help='play the source again until so many')
    parser.add_argument('--transport', choices=('raw', 'compressed'), default='raw')
    parser.add_argument('--subscribers', type=int, default=1, help='how many to wait for first')
    parser.add_argument('--wait', type=float, default=60.0, help='seconds to wait for them')
    return parser


if __name__ == '__main__':
    sys.exit(main())
