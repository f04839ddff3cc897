"""The ROS 2 shell around the core: parameters, messages, topics, lifecycle."""
