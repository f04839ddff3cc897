"""Play a folder, a video or a bag as a camera would: at a rate, each image stamped when sent."""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import islice
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from .sources import Shot, SourceError, open_source

SETTLE = 3.2
"""Seconds between the camera's seeing its subscribers and theirs of it: a discovery period."""


class PlaybackCamera(Node):
    """Publishes image or image/compressed, camera_info, and ground truth where there is any."""

    def __init__(self, transport: str = 'raw') -> None:
        super().__init__('playback_camera')
        self._compressed = transport == 'compressed'
        kind, topic = ((CompressedImage, 'image/compressed') if self._compressed
                       else (Image, 'image'))
        self.image = self.create_publisher(kind, topic, qos_profile_sensor_data)
        self._info = self.create_publisher(CameraInfo, 'camera_info', qos_profile_sensor_data)
        self._truth = self.create_publisher(Image, 'ground_truth/depth', 10)

    def send(self, shot: Shot) -> None:
        """Publish one shot, all its messages under one stamp: now."""
        image = shot.image if self._compressed else shot.raw()
        image.header.stamp = self.get_clock().now().to_msg()
        if shot.truth is not None:
            shot.truth.header = image.header
            self._truth.publish(shot.truth)
        if shot.info is not None:
            shot.info.header = image.header
            self._info.publish(shot.info)
        self.image.publish(image)

    def wait_for_subscribers(self, count: int, timeout: float) -> bool:
        """Return whether ``count`` subscribers of the image came within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while self.image.get_subscription_count() < count and time.monotonic() < end:
            rclpy.spin_once(self, timeout_sec=0.05)
        settled = time.monotonic() + SETTLE
        while time.monotonic() < settled:
            rclpy.spin_once(self, timeout_sec=0.05)
        return bool(self.image.get_subscription_count() >= count)


def play(camera: PlaybackCamera, shots: list[Shot], rate: float, frames: int) -> int:
    """
    Publish shots at a rate, starting again from the first when they are through.

    :param rate: frames a second.
    :param frames: how many to publish.
    :return: how many were published.
    """
    start = time.monotonic()
    for number in range(frames):
        camera.send(shots[number % len(shots)])
        due = start + (number + 1) / rate
        while (rest := due - time.monotonic()) > 0:
            rclpy.spin_once(camera, timeout_sec=rest)
    return frames


def main(args: list[str] | None = None) -> int:
    """Run from the command line; prints how many frames were published as JSON."""
    options = _parser().parse_args(rclpy.utilities.remove_ros_args(args or sys.argv)[1:])
    rclpy.init(args=args)
    try:
        shots = list(islice(open_source(options.source), options.most))
        camera = PlaybackCamera(options.transport)
        if not camera.wait_for_subscribers(options.subscribers, options.wait):
            print(f'only {camera.image.get_subscription_count()} of {options.subscribers} '
                  f'subscribers came within {options.wait:.0f} s', file=sys.stderr)
            return 1
        frames = options.frames or len(shots)
        print(json.dumps({'frames': play(camera, shots, options.rate, frames)}), flush=True)
    except SourceError as error:
        print(f'camera: {error}', file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='camera', description=__doc__)
    parser.add_argument('source', type=Path, help='folder, video file or rosbag2 directory')
    parser.add_argument('--rate', type=float, default=15.0, help='frames a second')
    parser.add_argument('--frames', type=int, default=0, help='how many; 0 plays the source once')
    parser.add_argument('--most', type=int, default=1000, help='images of the source to hold')
    parser.add_argument('--transport', choices=('raw', 'compressed'), default='raw')
    parser.add_argument('--subscribers', type=int, default=1, help='how many to wait for first')
    parser.add_argument('--wait', type=float, default=60.0, help='seconds to wait for them')
    return parser


if __name__ == '__main__':
    sys.exit(main())
