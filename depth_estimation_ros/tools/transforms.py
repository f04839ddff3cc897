# SPDX-License-Identifier: Apache-2.0
"""
The frames of a camera as tf2_ros publishes them on /tf_static, for a recording.

They are serialised without tf2_msgs, which exists in ROS distributions and not among the wheels.
"""

from __future__ import annotations

from typing import Any

from rosbags.typesys import Stores, get_typestore

from ..core.mount import (
    Mount,
    Quaternion,
    level_frame,
    level_in_optical,
    optical_in_level,
)
from ..recordings.qos import reliable

TOPIC, TYPE = '/tf_static', 'tf2_msgs/msg/TFMessage'

LATCHED = reliable(1, latched=True)
"""What tf2_ros offers of static transforms."""

TYPES = get_typestore(Stores.ROS2_JAZZY)


def static_transforms(optical: str, mount: Mount, stamp: int) -> bytes:
    """
    Return the camera's tree: the floor below it, its optical frame, the level frame of its scan.

    :param optical: the images' frame_id; the others are named after it.
    :param stamp: nanoseconds.
    :return: a tf2_msgs/TFMessage as CDR.
    """
    pitch, roll = mount.pitch, mount.roll
    tree = [_transform(f'{optical}_floor', optical, stamp, optical_in_level(pitch, roll),
                       mount.height),
            _transform(optical, level_frame(optical), stamp, level_in_optical(pitch, roll))]
    message = TYPES.types[TYPE](transforms=tree)
    return bytes(TYPES.serialize_cdr(message, TYPE))


def _transform(parent: str, child: str, stamp: int, rotation: Quaternion,
               height: float = 0.0) -> Any:
    """Return where a frame lies in its parent: turned, and so many metres up."""
    def make(kind: str, *values: Any) -> Any:
        return TYPES.types[kind](*values)

    header = make('std_msgs/msg/Header', make('builtin_interfaces/msg/Time', *divmod(
        stamp, 10**9)), parent)
    return make('geometry_msgs/msg/TransformStamped', header, child, make(
        'geometry_msgs/msg/Transform', make('geometry_msgs/msg/Vector3', 0.0, 0.0, height),
        make('geometry_msgs/msg/Quaternion', *rotation)))
