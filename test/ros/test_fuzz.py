"""Thousands of generated frames through the worker: none crashes it, none costs a good one."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_estimation_ros.ros import codec
from depth_estimation_ros.ros.camera import info_for
from depth_estimation_ros.ros.mailbox import Frame
from depth_estimation_ros.ros.parameters import Settings
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
FILES = st.builds(
    lambda start, rest: CompressedImage(format='jpeg', data=start + rest),
    START, st.binary(max_size=300))

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
INFOS = st.builds(
    CameraInfo, height=st.integers(0, 2**32 - 1), width=st.integers(0, 2**32 - 1),
    k=st.lists(FLOATS, min_size=9, max_size=9), p=st.lists(FLOATS, min_size=12, max_size=12),
    d=st.lists(FLOATS, max_size=9))


@pytest.fixture(scope='module')
def fuzzed():
    """One worker for all frames, and the counts of what it was given."""
    network, camera = Network(), Camera('fuzz')
    warnings: list[str] = []
    worker = Worker(network, codec.decode, settings=Settings(), now=lambda: 0.0,
                    warn=lambda kind, text: warnings.append(text), fail=warnings.append)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given_frames = {'bad': 0, 'good': 0}
    yield worker, camera, given_frames
    assert worker.stop(20)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert given_frames['bad'] >= FRAMES
    assert grown < BOUND_MB, f'{grown:.0f} MB more'


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
    camera.tally.receive()
    worker.deliver(Frame(camera, message, 0.0, 0.0))
    camera.settled()


@settings(max_examples=500, deadline=None)
@given(info=INFOS, height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_any_calibration_is_scaled_without_an_error(info, height, width):
    scaled = info_for(info, GOOD.header, (height, width))
    assert (scaled.height, scaled.width) == (height, width)
    assert len(scaled.k) == 9 and len(scaled.p) == 12
    if info.width and np.isfinite(info.k[0]):
        assert np.isclose(scaled.k[0], info.k[0] * (width / info.width))
