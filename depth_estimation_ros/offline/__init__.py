"""Depth of whole recordings, every frame of them, without ROS."""
