# SPDX-License-Identifier: Apache-2.0
"""compressedDepth as the node sends it, by a decoder written from the format's description."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from depth_estimation_ros.recordings import metres
from depth_estimation_ros.ros.outputs import Estimate

from .test_outputs import DEPTH, LIMITS, encoded, prepared

TOPIC = 'depth/image_rect/compressedDepth'


def plain(message: CompressedImage) -> NDArray[np.float32]:
    """Decode compressedDepth pixel by pixel, from the description of the format."""
    data = message.data.tobytes()
    _, scale, offset = struct.unpack('<iff', data[:12])
    code = cv2.imdecode(np.frombuffer(data[12:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert code is not None and code.dtype == np.uint16
    return np.array([[scale / (int(each) - offset) if each else np.nan for each in row]
                     for row in code], np.float32)


def test_compressed_depth_is_read_by_the_formats_description() -> None:
    message = encoded(TOPIC)
    assert message.format == '32FC1; compressedDepth png'
    expected = np.where(np.isfinite(DEPTH), np.maximum(DEPTH, 0.1529), np.nan)
    np.testing.assert_array_less(np.abs(plain(message) - expected)[np.isfinite(DEPTH)],
                                 expected[np.isfinite(DEPTH)]**2 / 10100 + 0.001)
    assert (np.isnan(plain(message)) == ~np.isfinite(DEPTH)).all()


@pytest.mark.parametrize(('settings', 'header'), [
    ({}, (10100.0, 1 - 10100 / 20)),
    ({'compressed_depth__depth_max': 5.0}, (10100.0, 1 - 10100 / 5)),
    ({'compressed_depth__quantization': 30.0}, (930.0, 1 - 930 / 20))], ids=str)
def test_compressed_depth_follows_far_and_its_settings(
        settings: dict[str, float], header: tuple[float, float]) -> None:
    message = encoded(TOPIC, **settings)
    assert struct.unpack('<iff', message.data.tobytes()[:12])[1:] == pytest.approx(header)
    farthest = settings.get('compressed_depth__depth_max', LIMITS.far)
    assert (np.isfinite(plain(message)) == (np.isfinite(DEPTH) & (farthest > DEPTH))).all()


def test_rvl_holds_the_same_as_png() -> None:
    message = encoded(TOPIC, compressed_depth__format='rvl')
    assert message.format == '32FC1; compressedDepth rvl'
    np.testing.assert_array_equal(
        metres(message), metres(encoded(TOPIC)))


def test_a_higher_png_level_is_smaller() -> None:
    output = {level: prepared(TOPIC, compressed_depth__png_level=level)
              for level in (0, 9)}
    depth = np.tile(np.linspace(1, 9, 64, dtype=np.float32), (48, 1))
    sizes = {level: len(each.encode(Estimate(Header(), depth, None, depth.shape)).data)
             for level, each in output.items()}
    assert sizes[9] < sizes[0] / 4
