# SPDX-License-Identifier: Apache-2.0
"""Between sensor_msgs/CameraInfo and the core's calibration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..core.calibration import Calibration
from ..core.calibration_faults import calibration_faults

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo
    from std_msgs.msg import Header

    from ..core.pinhole import Pinhole

RECTIFIED = re.compile(r'(?<![a-z])rect(ified)?(?![a-z])')
"""What the name of a topic of rectified images holds: image_rect, image_rect_color, rect/image."""


def calibration_of(info: CameraInfo) -> Calibration:
    """Read a message."""
    return Calibration(
        size=(info.width, info.height), model=info.distortion_model,
        **{name: tuple(map(float, getattr(info, name))) for name in ('d', 'k', 'r', 'p')},
        offset=(info.roi.x_offset, info.roi.y_offset), roi=(info.roi.width, info.roi.height),
        binning=(max(info.binning_x, 1), max(info.binning_y, 1)))


def calibration_of_depth(info: CameraInfo, source: tuple[int, int],
                         shape: tuple[int, int]) -> Calibration:
    """
    Return the calibration of depth that may be smaller than the image it was made of.

    :param source: the image's (height, width).
    :param shape: the depth's.
    """
    return calibration_of(info).of_image(source[::-1]).of_image(shape[::-1])


def focal_length_of(info: CameraInfo, width: int, height: int) -> float | None:
    """Return fx in pixels of an image of this size; None where it is not known."""
    lens = lens_of(info, width, height)
    return None if lens is None else lens.fx


def lens_of(info: CameraInfo, width: int, height: int) -> Pinhole | None:
    """Return the pinhole camera of an image of this size; None where it is not known."""
    return calibration_of(info).pinhole_of((width, height))


def info_for(info: CameraInfo, header: Header, source: tuple[int, int],
             shape: tuple[int, ...]) -> CameraInfo:
    """
    Return the calibration of a depth image as it is: of its own size, roi and binning applied.

    :param info: as the camera published it.
    :param header: the depth's.
    :param source: the image's (height, width).
    :param shape: the depth's, which may be smaller.
    """
    height, width = shape
    calibration = calibration_of_depth(info, source, (height, width))
    return type(info)(
        header=header, height=height, width=width, distortion_model=calibration.model,
        d=calibration.d, k=calibration.k, r=calibration.r, p=calibration.p)


def info_faults(info: CameraInfo, shape: tuple[int, ...], frame_id: str, topic: str) -> list[str]:
    """
    Return what makes a camera_info unfit for the images it came with, each in a sentence.

    :param info: as the camera published it.
    :param shape: the image's (height, width); (0, 0) where it isn't known.
    :param frame_id: the images'.
    :param topic: the images', whose name says whether they are rectified.
    """
    faults = calibration_faults(
        calibration_of(info), (shape[1], shape[0]), rectified=bool(RECTIFIED.search(topic)))
    own = info.header.frame_id
    if own and frame_id and own.lstrip('/') != frame_id.lstrip('/'):
        faults.append(f"camera_info is of frame '{own}', the images are of '{frame_id}': is it "
                      "remapped to another camera's?")
    return faults
