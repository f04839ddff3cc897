# SPDX-License-Identifier: Apache-2.0
"""Who decodes images: cv_bridge where it is installed and sound, else the built-in codec."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from . import codec

PROBE_TIMEOUT = 30.0
"""Seconds that the probe of cv_bridge may take: it imports OpenCV in a fresh process."""

PROBE = """
import numpy as np
from cv_bridge import CvBridge
from types import SimpleNamespace as Message

pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
message = Message(height=2, width=4, encoding='rgb8', is_bigendian=0, step=12,
                  data=pixels.tobytes(), header=None)
assert (CvBridge().imgmsg_to_cv2(message, 'rgb8') == pixels).all()
assert (CvBridge().imgmsg_to_cv2(message, 'bgr8') == pixels[:, :, ::-1]).all()
wide = np.arange(8, dtype=np.uint16).reshape(2, 4) * 8191
message = Message(height=2, width=4, encoding='mono16', is_bigendian=0, step=8,
                  data=wide.tobytes(), header=None)
assert (CvBridge().imgmsg_to_cv2(message, 'passthrough') == wide).all()
"""

NOT_BRIDGED = ('uyvy', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24', *codec.ASSUMED)
"""Encodings that some or all versions of cv_bridge refuse."""

Decode = Callable[[Image], NDArray[np.uint8]]


@dataclass(frozen=True)
class Converter:
    """A decoder of image messages and its name for the log."""

    name: str
    decode: Decode


def choose_converter() -> Converter:
    """
    Return cv_bridge's conversion if a probe finds it sound, else the built-in one.

    The ROS distributions' cv_bridge is built against one version of NumPy and can take the whole
    process down under another, so it is first tried in a process of its own.
    """
    if find_spec('cv_bridge') is None:
        return Converter('built-in (cv_bridge is not installed)', codec.decode)
    fault = probe_cv_bridge()
    if fault:
        return Converter(f'built-in (cv_bridge is not sound here: {fault})', codec.decode)
    return Converter('cv_bridge', cv_bridge_decode())


def probe_cv_bridge() -> str:
    """Try cv_bridge in a process of its own; return what is wrong with it, or ''."""
    try:
        trial = subprocess.run([sys.executable, '-c', PROBE], timeout=PROBE_TIMEOUT,
                               capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired:
        return f'the probe took more than {PROBE_TIMEOUT:.0f} s'
    if trial.returncode < 0:
        return f'converting an image ends the process by signal {-trial.returncode}'
    if trial.returncode:
        return (trial.stderr.strip() or 'it fails').splitlines()[-1]
    return ''


def cv_bridge_decode() -> Decode:
    """
    Return a decoder that uses cv_bridge wherever it gives the right pixels.

    Padded rows, foreign byte order and the YUV formats but one, which cv_bridge's versions misread
    or refuse, go through the built-in codec, which also checks every message before cv_bridge
    sees it.
    """
    from cv_bridge import CvBridge
    bridge = CvBridge()

    def decode(message: Image) -> NDArray[np.uint8]:
        encoding = codec.encoding_of(message)
        codec.view(message, encoding)
        if not _bridgeable(message, encoding):
            return codec.decode(message)
        return np.asarray(bridge.imgmsg_to_cv2(message, 'rgb8'), np.uint8)
    return decode


def _bridgeable(message: Image, encoding: codec.Encoding) -> bool:
    size = np.dtype(encoding.dtype).itemsize
    native = size == 1 or bool(message.is_bigendian) == (sys.byteorder == 'big')
    tight = message.step == message.width * encoding.channels * size
    lower = message.encoding.lower()  # cv_bridge knows its encodings by their exact names
    return native and tight and message.encoding == lower and lower not in NOT_BRIDGED
