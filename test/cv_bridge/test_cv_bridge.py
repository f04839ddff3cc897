# SPDX-License-Identifier: Apache-2.0
"""cv_bridge and the built-in codec give the same pixels; runs where a real cv_bridge is."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')

from depth_estimation_ros.ros import codec, converter
from depth_estimation_ros.ros.decoder import CameraDecoder

SIZES = ((4, 6), (32, 48), (33, 47))


def message(encoding, height, width, big=False, padding=0, seed=0):
    kind = codec.ENCODINGS[encoding]
    size = np.dtype(kind.dtype).itemsize
    rows = height * kind.height_factor[0] // kind.height_factor[1]
    step = width * kind.channels * size + padding
    data = np.random.default_rng(seed).integers(0, 256, rows * step, np.uint8)
    return SimpleNamespace(height=height, width=width, encoding=encoding, is_bigendian=int(big),
                           step=step, data=data.tobytes(), header=None)


def test_the_probe_finds_this_cv_bridge_sound_and_it_is_chosen():
    assert converter.probe_cv_bridge() == ''
    assert converter.choose_converter().name == 'cv_bridge'


@pytest.mark.parametrize('big', [False, True], ids=['little-endian', 'big-endian'])
@pytest.mark.parametrize('encoding', codec.ENCODINGS)
def test_both_give_the_same_pixels(encoding, big):
    decode = converter.cv_bridge_decode()
    for height, width in SIZES:
        even = codec.ENCODINGS[encoding].even
        image = message(encoding, height // 2 * 2 if even[0] else height,
                        width // 2 * 2 if even[1] else width, big)
        np.testing.assert_array_equal(decode(image), codec.decode(image))


@pytest.mark.parametrize('encoding', [
    name for name in codec.ENCODINGS if name not in converter.NOT_BRIDGED])
def test_cv_bridge_itself_agrees_on_tight_rows(encoding):
    """Not through our decoder, which may hand a frame to the codec: cv_bridge called directly."""
    from cv_bridge import CvBridge
    image = message(encoding, 32, 48)
    np.testing.assert_array_equal(
        CvBridge().imgmsg_to_cv2(image, 'rgb8'), codec.decode(image))


@pytest.mark.parametrize('bits', [10, 12, 16])
@pytest.mark.parametrize('encoding', ['mono16', 'rgb16', 'bgra16', 'bayer_gbrg16'])
def test_both_count_the_same_bits_of_a_camera(encoding, bits):
    kind, rng = codec.ENCODINGS[encoding], np.random.default_rng(bits)
    data = rng.integers(0, 2**bits, 32 * 48 * kind.channels, np.uint16).tobytes()
    image = SimpleNamespace(height=32, width=48, encoding=encoding, is_bigendian=0,
                            step=96 * kind.channels, data=data, header=None)
    ours, theirs = (CameraDecoder('', decode)(image)
                    for decode in (codec.decode, converter.cv_bridge_decode()))
    np.testing.assert_array_equal(theirs, ours)
    assert ours.max() == 255


@pytest.mark.parametrize('encoding', ['rgb8', 'mono8', 'mono16', 'bayer_rggb8'])
def test_padded_rows_come_out_right_although_cv_bridge_misreads_them(encoding):
    image = message(encoding, 32, 48, padding=6)
    np.testing.assert_array_equal(
        converter.cv_bridge_decode()(image), codec.decode(image))
