# SPDX-License-Identifier: Apache-2.0
"""The depth path without ROS: torch, transformers, numpy and opencv are all it imports."""
