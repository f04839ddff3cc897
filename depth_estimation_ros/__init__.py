"""Metric depth from any ROS 2 camera."""

__version__ = '0.1.0'
