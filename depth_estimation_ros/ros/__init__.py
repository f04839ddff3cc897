# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 shell around the core: parameters, messages, topics, lifecycle."""

import os

MAX_PIXELS = 2**26
"""The largest image taken, 67 megapixels: beyond any camera, below any harm."""

# OpenCV reads it once, when it is first imported, which any of the modules below may do.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(MAX_PIXELS))
