"""A camera and a user of its depth on another host: prints how many depth images have come."""

import sys
import time

import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image


def main() -> None:
    """Send small images at 10 Hz for the seconds given; print one count a line, as they come."""
    rclpy.init()
    node = rclpy.create_node('remote_camera')
    images = node.create_publisher(Image, 'image', qos_profile_sensor_data)
    depths: list[Image] = []
    node.create_subscription(Image, 'depth/image_rect', depths.append, qos_profile_sensor_data)
    message = Image(height=48, width=64, encoding='rgb8', step=192, data=bytes(48 * 192))
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        message.header.stamp = node.get_clock().now().to_msg()
        images.publish(message)
        rest = time.monotonic() + 0.1
        while time.monotonic() < rest:
            rclpy.spin_once(node, timeout_sec=0.02)
        print(len(depths), flush=True)


if __name__ == '__main__':
    main()
