# SPDX-License-Identifier: Apache-2.0
"""A camera and a user of its depth on another host: prints how old each depth image comes."""

import contextlib
import sys
import time

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import Image


def main() -> None:
    """Send small images at 10 Hz for the seconds given; print the age in seconds, one a line."""
    rclpy.init()
    node = rclpy.create_node('remote_camera')
    images = node.create_publisher(Image, 'image', qos_profile_sensor_data)

    def print_age(depth: Image) -> None:
        age = node.get_clock().now() - Time.from_msg(depth.header.stamp)
        print(age.nanoseconds / 1e9, flush=True)

    node.create_subscription(Image, 'depth/image_rect', print_age, qos_profile_sensor_data)
    message = Image(height=48, width=64, encoding='rgb8', step=192, data=bytes(48 * 192))
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        message.header.stamp = node.get_clock().now().to_msg()
        images.publish(message)
        rest = time.monotonic() + 0.1
        while time.monotonic() < rest:
            rclpy.spin_once(node, timeout_sec=0.02)


if __name__ == '__main__':
    with contextlib.suppress(ExternalShutdownException):
        main()
