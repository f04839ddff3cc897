# SPDX-License-Identifier: Apache-2.0
"""The names of frames, of which ROS 1's may begin with a slash."""

from __future__ import annotations


def plain_frame(frame: str) -> str:
    """Return a frame's name without the slash that ROS 1 began it with."""
    return frame.removeprefix('/')
