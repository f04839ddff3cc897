# SPDX-License-Identifier: Apache-2.0
"""Thousands of generated frames through the worker: none crashes it, none costs a good one."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from depth_estimation_ros.ros import codec
from depth_estimation_ros.ros.camera_info import info_faults, info_for
from depth_estimation_ros.ros.mailbox import Frame
from depth_estimation_ros.ros.pipeline import Pipeline
from depth_estimation_ros.ros.settings import Settings
from depth_estimation_ros.ros.worker import Worker

from .conftest import image
from .test_worker import Camera, Network

FRAMES = 5000
BOUND_MB = 512
"""What the whole run may add to the process's memory: far above one image, far below a bomb."""

ANY_SIDE = st.one_of(st.integers(0, 70), st.integers(0, 2**32 - 1))
ENCODINGS = st.one_of(st.sampled_from([*codec.ENCODINGS, '32FC1', '16UC1', '8UC3', '']),
                      st.text(max_size=12))
DATA = st.one_of(st.binary(max_size=200), st.integers(0, 20_000).map(bytes))

IMAGES = st.builds(
    Image, height=ANY_SIDE, width=ANY_SIDE, step=ANY_SIDE, encoding=ENCODINGS,
    is_bigendian=st.integers(0, 255), data=DATA)

START = st.sampled_from([b'', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'BM', b'RIFF', b'GIF89a'])
FORMATS = st.sampled_from([
    'jpeg', 'png', '', 'rgb8; jpeg compressed bgr8', 'bayer_rggb8; jpeg compressed ',
    'mono16; png compressed ', '16UC1; compressedDepth png', ';;'])
FILES = st.builds(
    lambda form, start, rest: CompressedImage(format=form, data=start + rest),
    FORMATS, START, st.binary(max_size=300))

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
INFOS = st.builds(
    CameraInfo, height=st.integers(0, 2**32 - 1), width=st.integers(0, 2**32 - 1),
    k=st.lists(FLOATS, min_size=9, max_size=9), p=st.lists(FLOATS, min_size=12, max_size=12),
    d=st.lists(FLOATS, max_size=9), r=st.lists(FLOATS, min_size=9, max_size=9),
    binning_x=ANY_SIDE, binning_y=ANY_SIDE, distortion_model=st.sampled_from(
        ['', 'plumb_bob', 'rational_polynomial', 'equidistant', 'thin_prism']),
    roi=st.builds(RegionOfInterest, x_offset=ANY_SIDE, y_offset=ANY_SIDE, height=ANY_SIDE,
                  width=ANY_SIDE))


@pytest.fixture(scope='module')
def fuzzed():
    """One worker for all frames, and the counts of what it was given."""
    network, camera = Network(), Camera('fuzz')
    warnings: list[object] = []
    worker = Worker(Pipeline(network, codec.decode, settings=Settings(), now=lambda: 0.0,
                             warn=lambda kind, text: warnings.append(text)), fail=warnings.append)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given_frames = {'bad': 0, 'good': 0}
    yield worker, camera, given_frames
    assert worker.stop(20)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert given_frames['bad'] >= FRAMES
    assert grown < BOUND_MB, f'{grown:.0f} MB more'


@pytest.mark.slow
@settings(max_examples=FRAMES, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(message=st.one_of(IMAGES, FILES))
def test_after_any_frame_the_next_good_one_is_served(fuzzed, message):
    worker, camera, given_frames = fuzzed
    serve(worker, camera, message)
    given_frames['bad'] += 1
    if given_frames['bad'] % 10 == 0:
        before = len(camera.published)
        serve(worker, camera, GOOD)
        given_frames['good'] += 1
        assert len(camera.published) == before + 1, 'a good frame was lost'


GOOD = image(4, 6)


def serve(worker: Worker, camera: Camera, message) -> None:
    """Deliver one frame and wait until it is accounted for."""
    camera.statistics.receive()
    worker.deliver(Frame(camera, message, 0.0, 0.0))
    camera.settled()


@settings(max_examples=500, deadline=None)
@given(info=INFOS, height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_any_calibration_is_published_as_finite_numbers_or_named(info, height, width):
    published = info_for(info, GOOD.header, (height, width), (height, width))
    assert (published.height, published.width) == (height, width)
    assert (published.roi, published.binning_x) == (RegionOfInterest(), 0)
    assert np.isfinite([*published.k, *published.p, *published.r]).all()
    faults = info_faults(info, (height, width), 'optical', '/cam/image_rect')
    assert faults or (published.k[0] > 0 and published.k[4] > 0 and published.p[0] > 0)
    assert all(len(fault) > 20 and '\n' not in fault for fault in faults)
