# SPDX-License-Identifier: Apache-2.0
"""The calibration of the depth image, whatever its size."""

from sensor_msgs.msg import CameraInfo

from ..camera_info import info_for
from .base import Estimate, Output


class CameraInfoOutput(Output):
    """What the camera published, fitted to the depth image."""

    topic = 'depth/camera_info'
    message = CameraInfo
    needs_depth = False
    needs_info = True
    takes_relative = True

    def encode(self, estimate: Estimate) -> CameraInfo:
        """Return the calibration under the image's header."""
        return info_for(estimate.info, estimate.header, estimate.source, estimate.depth.shape)
