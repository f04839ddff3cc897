# SPDX-License-Identifier: Apache-2.0
"""Metric depth from any ROS 2 camera."""

__version__ = '0.1.0'
