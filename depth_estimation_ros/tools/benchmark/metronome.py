# SPDX-License-Identifier: Apache-2.0
"""A camera that never varies: one image at an exact rate, stamped as it is sent."""

from __future__ import annotations

import argparse
import json
import sys
import time

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ...ros import codec
from .images import textured

RELIABLE = QoSProfile(depth=10)
"""Offered by most camera drivers, and asked for by a naive node."""


class Metronome(Node):
    """Publishes image and camera_info, and may subscribe to a node's outputs to have them made."""

    def __init__(self, width: int, height: int, listen: list[str]) -> None:
        super().__init__('metronome')
        pixels = cv2.cvtColor(textured(width, height), cv2.COLOR_RGB2BGR)
        self._image = codec.encode(pixels, 'bgr8', Header(frame_id='camera_optical_frame'))
        self._camera_info = CameraInfo(
            header=self._image.header, width=width, height=height,
            k=[width, 0, width / 2, 0, width, height / 2, 0, 0, 1],
            p=[width, 0, width / 2, 0, 0, width, height / 2, 0, 0, 0, 1, 0])
        self.image = self.create_publisher(Image, 'image', RELIABLE)
        self._info = self.create_publisher(CameraInfo, 'camera_info', RELIABLE)
        self.outputs = [self.create_subscription(Image, topic, lambda _: None, RELIABLE, raw=True)
                        for topic in listen]

    def send(self) -> int:
        """Publish the image under the stamp of now; return the stamp in nanoseconds."""
        now = self.get_clock().now()
        self._image.header.stamp = now.to_msg()
        self._info.publish(self._camera_info)
        self.image.publish(self._image)
        return int(now.nanoseconds)

    @property
    def connected(self) -> bool:
        """Whether somebody takes the image and all outputs have a publisher."""
        return bool(self.image.get_subscription_count()
                    and all(self.count_publishers(output.topic_name) for output in self.outputs))


def play(metronome: Metronome, rate: float, frames: int) -> list[int]:
    """
    Publish at an exact rate; where the machine cannot follow, late rather than never.

    :param rate: frames a second.
    :return: the stamp of every frame in nanoseconds.
    """
    stamps, start = [], time.monotonic()
    for number in range(frames):
        while (rest := start + number / rate - time.monotonic()) > 0:
            rclpy.spin_once(metronome, timeout_sec=rest)
        stamps.append(metronome.send())
    return stamps


def main() -> int:
    """Run from the command line; prints the stamps of the frames as JSON."""
    options = _parser().parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    width, height = (int(side) for side in options.size.split('x'))
    rclpy.init(args=sys.argv)
    try:
        metronome = Metronome(width, height, options.listen)
        end = time.monotonic() + options.wait
        while not metronome.connected:
            if time.monotonic() > end:
                print(f'nobody subscribed within {options.wait:.0f} s', file=sys.stderr)
                return 1
            rclpy.spin_once(metronome, timeout_sec=0.05)
        print(json.dumps(play(metronome, options.rate, options.frames)), flush=True)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='metronome', description=__doc__)
    parser.add_argument('--size', default='640x480', help='WIDTHxHEIGHT in pixels')
    parser.add_argument('--rate', type=float, default=30.0, help='frames a second')
    parser.add_argument('--frames', type=int, default=100, help='how many')
    parser.add_argument('--listen', nargs='*', default=[], help='image topics to subscribe to')
    parser.add_argument('--wait', type=float, default=30.0, help='seconds to wait for the node')
    return parser


if __name__ == '__main__':
    sys.exit(main())
