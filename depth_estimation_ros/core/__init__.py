"""The depth path without ROS: torch, transformers, numpy and opencv are all it imports."""
