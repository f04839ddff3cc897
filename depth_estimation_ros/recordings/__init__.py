# SPDX-License-Identifier: Apache-2.0
"""Streaming read and write of recordings: bags of ROS 2 and ROS 1, pictures, videos.

Nothing here imports rclpy: messages are objects with the fields of their types and NumPy arrays,
and their bytes are CDR, which rclpy.serialization takes as they are.
"""

from .cameras import Camera, Estimate, find_cameras, find_estimates
from .depth import depth_of, metres
from .errors import RecordingError
from .opening import open_recording
from .ranges import LASER_SCAN, POINT_CLOUD, points_of
from .recording import Channel, Record, Recording
from .shots import MOST_TOLERANCE, Shot, shots, stamp_of
from .static_transforms import StaticTransforms
from .types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from .writer import Writer

__all__ = [
    'CAMERA_INFO', 'COMPRESSED_IMAGE', 'IMAGE', 'LASER_SCAN', 'MOST_TOLERANCE', 'POINT_CLOUD',
    'Camera', 'Channel', 'Estimate', 'Record', 'Recording', 'RecordingError', 'Shot',
    'StaticTransforms', 'Writer', 'depth_of', 'find_cameras', 'find_estimates', 'metres',
    'open_recording', 'points_of', 'shots', 'stamp_of',
]
