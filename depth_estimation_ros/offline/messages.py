# SPDX-License-Identifier: Apache-2.0
"""Depth, colours and calibration as messages in CDR, without ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recordings import CAMERA_INFO, IMAGE
from ..recordings.types import standard_types
from ..ros.camera_info import calibration_of


def image_bytes(pixels: NDArray[Any], encoding: str, header: Any) -> bytes:
    """
    Return a sensor_msgs/Image.

    :param pixels: H×W float32 for 32FC1, H×W×3 uint8 for bgr8.
    :param header: of the image that it was made of; stamp and frame_id are taken over.
    """
    whole = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder('<'))
    message = standard_types().types[IMAGE](
        _header(header), *whole.shape[:2], encoding, 0, whole.strides[0],
        whole.reshape(-1).view(np.uint8))
    return bytes(standard_types().serialize_cdr(message, IMAGE))


def info_bytes(info: Any, header: Any, shape: tuple[int, ...]) -> bytes:
    """
    Return the calibration of a depth image as it is, as the node does.

    :param info: the camera's message.
    :param header: the depth's.
    :param shape: the depth's (height, width).
    """
    types = standard_types().types
    height, width = shape
    calibration = calibration_of(info).of_image((width, height))
    d, k, r, p = (np.array(values, np.float64) for values in (
        calibration.d, calibration.k, calibration.r, calibration.p))
    message = types[CAMERA_INFO](
        _header(header), height, width, calibration.model, d, k, r, p, 0, 0,
        types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False))
    return bytes(standard_types().serialize_cdr(message, CAMERA_INFO))


def _header(header: Any) -> Any:
    types = standard_types().types
    stamp = types['builtin_interfaces/msg/Time'](header.stamp.sec, header.stamp.nanosec)
    return types['std_msgs/msg/Header'](stamp, header.frame_id)
