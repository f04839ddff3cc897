# SPDX-License-Identifier: Apache-2.0
"""Depth of whole recordings, every frame of them, without ROS."""
