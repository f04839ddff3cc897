# SPDX-License-Identifier: Apache-2.0
"""The rival node: all in one callback, a queue of ten, transformers by hand in float32."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import rclpy
import torch
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image
from transformers.utils import logging as transformers_logging

from .rivals import ByHand


class NaiveNode(Node):
    """What a first attempt looks like; kinder than many in that it copies the header."""

    def __init__(self) -> None:
        super().__init__('naive_depth')
        model = self.declare_parameter('model', '').value
        device = self.declare_parameter('device', 'auto').value
        if device == 'auto':
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self._estimate = ByHand(model, device, 'fp32')
        self._publisher = self.create_publisher(Image, 'depth/image_rect', 10)
        self.create_subscription(Image, 'image', self._callback, 10)

    def _callback(self, message: Image) -> None:
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        depth = self._estimate([cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)])[0]
        self._publisher.publish(Image(
            header=message.header, height=message.height, width=message.width, encoding='32FC1',
            step=4 * message.width, data=depth.tobytes()))


def main() -> int:
    """Run the node until it is told to stop."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    rclpy.init()
    try:
        rclpy.spin(NaiveNode())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
