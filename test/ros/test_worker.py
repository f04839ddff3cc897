# SPDX-License-Identifier: Apache-2.0
"""The worker, with a network that does as it is told: nothing waits, nothing is lost unnamed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from threading import Event
from time import monotonic
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from depth_estimation_ros.core.colour import Colouriser
from depth_estimation_ros.core.errors import DeviceError, DeviceLostError, ImageError
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.frame import Frame as View
from depth_estimation_ros.core.frame import Prediction
from depth_estimation_ros.core.maps import Maps
from depth_estimation_ros.ros import codec
from depth_estimation_ros.ros import frame_statistics as reasons
from depth_estimation_ros.ros.frame_statistics import FrameStatistics
from depth_estimation_ros.ros.mailbox import Frame
from depth_estimation_ros.ros.model import Wait
from depth_estimation_ros.ros.outputs import Estimate, Output
from depth_estimation_ros.ros.pipeline import Pipeline
from depth_estimation_ros.ros.settings import Settings
from depth_estimation_ros.ros.worker import Worker

from .conftest import PATIENCE, until

DEPTH = [0.05, 0.1, 5.0, 80.0, 90.0, np.nan]
"""Metres that the network gives for every image, 1x6."""

Pixels = NDArray[np.uint8]


class Camera:
    """Keeps what is published instead of publishing it."""

    def __init__(self, name: str = '') -> None:
        self.name, self.statistics, self.metric = name, FrameStatistics(), True
        self.published: list[tuple[Any, NDArray[np.float32], tuple[Output, ...]]] = []
        self.error: Exception | None = None
        self.subscribed = frozenset({'depth/image_rect', 'depth/preview'})

    def wanted(self) -> frozenset[str]:
        return self.subscribed

    def focal_length(self, header: Any, width: int, height: int) -> float | None:
        return None

    def prompt(self, stamp: float, slop: float, shape: tuple[int, int]) -> None:
        """Have no other sensor."""

    def publish(self, header: Any, found: Prediction, outputs: tuple[Output, ...],
                image: Pixels) -> None:
        if self.error is not None:
            raise self.error
        self.published.append((header, found.depth, outputs))

    @property
    def stamps(self) -> list[int]:
        return [header.stamp.sec for header, _, _ in self.published]

    def settled(self) -> dict[str, int]:
        """Wait until no frame is pending; return how many were dropped for which reason."""
        until(lambda: self.statistics.summary().pending == 0)
        return self.statistics.summary().dropped


class Network:
    """An estimator whose next batches wait, fail or succeed as a test says."""

    range = (0.001, 80.0)
    quantity = Quantity.METRES

    def __init__(self, overlaps: bool = False) -> None:
        self.overlaps = overlaps
        self.events: list[str] = []
        self.batches: list[list[int]] = []
        self.flips: list[bool] = []
        self.failing: dict[int, Exception] = {}
        self.entered, self.free = Event(), Event()
        self.free.set()
        self.depth = DEPTH
        self.loaded: Any = None
        """What is to change when it is adopted: the range in metres."""

    domain, seen = 'auto', (96, 128)

    def network_size(self, image: View) -> tuple[int, int]:
        if image.image.shape[0] == 3:
            raise ImageError('image of 1x3 pixels is too small')
        return self.seen

    def adopt(self) -> bool:
        if self.loaded is None:
            return False
        self.events.append('adopt')
        self.range, self.loaded = self.loaded, None
        return True

    def submit(self, images: list[View], *, flip: bool) -> Wait:
        """Return what gives the same depth for each; an image's first value is its mark."""
        marks = [int(image.image[0, 0, 0]) for image in images]
        self.events.append(f'submit {marks}')
        return partial(self._estimate, marks, flip)

    def _estimate(self, marks: list[int], flip: bool) -> list[Maps]:
        self.events.append(f'wait {marks}')
        self.batches.append(marks)
        self.flips.append(flip)
        self.entered.set()
        assert self.free.wait(PATIENCE)
        for mark in marks:
            if mark in self.failing:
                raise self.failing[mark]
        return [Maps(torch.tensor([self.depth])) for _ in marks]

    def quantity_of(self, image: Any) -> Quantity:
        return self.quantity


class Bench:
    """A worker with everything around it."""

    def __init__(self, overlaps: bool = False, **settings: Any) -> None:
        self.network, self.settings = Network(overlaps), Settings().changed(settings)
        self.clock = 1000.0
        self.warnings: list[tuple[str, str]] = []
        self.lost: list[Exception] = []
        self.worker = Worker(Pipeline(
            self.network, codec.decode, settings=self.settings, now=lambda: self.clock,
            warn=lambda kind, sentence: self.warnings.append((kind, sentence))),
            fail=self.lost.append)

    def send(self, camera: Camera, mark: int = 0, *, stamp: int = 1000,
             message: Any = None, waited: float = 0.0) -> None:
        """Deliver an image that holds ``mark``, or another message."""
        sent = Image(height=1, width=2, step=6, encoding='rgb8', data=bytes([mark] * 6))
        sent = sent if message is None else message
        sent.header.stamp.sec, sent.header.frame_id = stamp, f'optical_{mark}'
        camera.statistics.receive()
        self.worker.deliver(Frame(camera, sent, float(stamp), monotonic() - waited))

    def occupy(self) -> Camera:
        """Keep the network busy with a frame until :meth:`release`."""
        self.network.free.clear()
        self.network.entered.clear()
        camera = Camera('busy')
        self.send(camera, mark=255)
        assert self.network.entered.wait(PATIENCE)
        return camera

    def release(self) -> None:
        self.network.free.set()


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    """A function from settings to a bench."""
    benches: list[Bench] = []

    def make(**settings: Any) -> Bench:
        benches.append(Bench(**settings))
        return benches[-1]

    yield make
    for each in benches:
        each.release()
        assert each.worker.stop(PATIENCE)


def broken() -> Image:
    return Image(height=9, width=9, step=27, encoding='rgb8', data=bytes(5))


def tiny() -> Image:
    return Image(height=3, width=1, step=3, encoding='rgb8', data=bytes(9))


def test_depth_is_published_under_the_images_header(bench: Callable[..., Bench]) -> None:
    made, camera = bench(), Camera()
    made.send(camera, mark=7, stamp=123)
    assert camera.settled() == {}
    (header, depth, _), = camera.published
    assert (header.stamp.sec, header.frame_id) == (123, 'optical_7')
    assert depth.dtype == np.float32


@pytest.mark.parametrize(('settings', 'expected'), [
    ({}, [-np.inf, 0.1, 5.0, 80.0, np.inf, np.nan]),
    ({'near': 1.0, 'far': 6.0}, [-np.inf, -np.inf, 5.0, np.inf, np.inf, np.nan]),
    ({'near': 0.0, 'far': 1000.0}, DEPTH)], ids=['model range', 'narrower', 'wider'])
def test_depth_outside_the_range_is_marked(
        bench: Callable[..., Bench], settings: dict[str, float], expected: list[float]) -> None:
    made, camera = bench(**settings), Camera()
    made.send(camera)
    camera.settled()
    np.testing.assert_equal(camera.published[0][1], np.array([expected], np.float32))


@pytest.mark.parametrize(('message', 'reason'), [
    (broken, reasons.UNDECODABLE), (tiny, reasons.UNSUITABLE),
    (lambda: CompressedImage(format='jpeg', data=b'\xff\xd8'), reasons.UNDECODABLE)],
    ids=['broken', 'tiny', 'broken jpeg'])
def test_a_bad_frame_disturbs_no_other_of_its_batch(
        bench: Callable[..., Bench], message: Callable[[], Any], reason: str) -> None:
    made, front, bad, rear = bench(), Camera('front'), Camera('bad'), Camera('rear')
    made.occupy()
    made.send(front, 1)
    made.send(bad, message=message())
    made.send(rear, 2)
    made.release()
    assert (front.settled(), bad.settled(), rear.settled()) == ({}, {reason: 1}, {})
    assert made.network.batches[1:] == [[1, 2]]
    assert len(front.published) == len(rear.published) == 1 and not bad.published
    (kind, sentence), = made.warnings
    assert kind == f'bad {reason}' and len(sentence) > 10
    made.send(bad, 3)
    assert bad.settled() == {reason: 1} and len(bad.published) == 1


def test_a_compressed_image_is_decompressed(bench: Callable[..., Bench]) -> None:
    import cv2
    made, camera = bench(), Camera()
    data = cv2.imencode('.png', np.full((2, 2, 3), 9, np.uint8))[1].tobytes()
    made.send(camera, message=CompressedImage(format='png', data=data))
    assert camera.settled() == {} and made.network.batches == [[9]]


@pytest.mark.parametrize('error', [DeviceError('out of memory'), RuntimeError('a bad kernel')])
def test_an_image_on_which_the_network_fails_harms_no_other(
        bench: Callable[..., Bench], error: Exception) -> None:
    made, front, bad, rear = bench(), Camera('front'), Camera('bad'), Camera('rear')
    made.network.failing[66] = error
    made.occupy()
    for stamp, (camera, mark) in enumerate(((front, 1), (bad, 66), (rear, 2))):
        made.send(camera, mark, stamp=stamp)
    made.release()
    assert (front.settled(), bad.settled(), rear.settled()) == ({}, {reasons.FAILED: 1}, {})
    assert made.network.batches[1:] == [[1, 66, 2], [1], [66], [2]]
    assert made.warnings == [(f'bad {reasons.FAILED}', f'the network failed: {error}')]


def test_publishing_that_fails_harms_no_other(bench: Callable[..., Bench]) -> None:
    made, front, bad = bench(), Camera('front'), Camera('bad')
    bad.error = RuntimeError('the context is gone')
    made.occupy()
    made.send(bad, 1)
    made.send(front, 2)
    made.release()
    assert (front.settled(), bad.settled()) == ({}, {reasons.FAILED: 1})
    assert 'the context is gone' in made.warnings[0][1]
    bad.error = None
    made.send(bad, 3)
    assert bad.settled() == {reasons.FAILED: 1} and len(bad.published) == 1


def test_an_error_that_nobody_foresaw_does_not_end_the_worker(
        bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    made, camera, next_camera = bench(), Camera(), Camera()
    camera.error = ValueError('unforeseen')
    made.send(camera)
    until(lambda: any('was lost' in record.getMessage() for record in caplog.records))
    assert caplog.records[-1].levelno == logging.ERROR
    assert camera.settled() == {reasons.FAILED: 1}
    for times in (2, 3):  # the log has the place in the code once
        made.send(camera)
        assert camera.settled() == {reasons.FAILED: times}
    assert sum('was lost' in record.getMessage() for record in caplog.records) == 1
    made.send(next_camera)
    assert next_camera.settled() == {} and len(next_camera.published) == 1


def test_only_the_newest_frame_waits_for_the_network(bench: Callable[..., Bench]) -> None:
    made, camera = bench(), Camera()
    made.occupy()
    for stamp in range(1000, 1006):
        made.send(camera, stamp=stamp)
    made.release()
    assert camera.settled() == {reasons.REPLACED: 5}
    assert camera.stamps == [1005]


def test_a_batch_is_no_larger_than_max_batch(bench: Callable[..., Bench]) -> None:
    made, cameras = bench(max_batch=2), [Camera(name) for name in 'abcde']
    made.occupy()
    for number, camera in enumerate(cameras):
        made.send(camera, number, stamp=1000 - number)
    made.release()
    assert [camera.settled() for camera in cameras] == [{}] * 5
    assert made.network.batches[1:] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(('age', 'dropped'), [(0.4, {}), (0.6, {reasons.TOO_OLD: 1})])
def test_depth_of_an_image_older_than_max_age_is_dropped(
        bench: Callable[..., Bench], age: float, dropped: dict[str, int]) -> None:
    made, camera = bench(max_age=0.5), Camera('front')
    made.clock += age
    made.send(camera, stamp=1000)
    assert camera.settled() == dropped
    assert len(camera.published) == 1 - len(dropped)
    assert [kind for kind, _ in made.warnings] == ['front too_old'] * len(dropped)


def test_age_counts_the_time_in_the_network(bench: Callable[..., Bench]) -> None:
    made = bench(max_age=0.5)
    camera = made.occupy()
    made.clock += 0.6
    made.release()
    assert camera.settled() == {reasons.TOO_OLD: 1}


def test_age_does_not_matter_without_max_age(bench: Callable[..., Bench]) -> None:
    made, camera = bench(max_age=0.0), Camera()
    made.clock += 1e6
    made.send(camera)
    assert camera.settled() == {}


def test_the_age_of_an_image_without_a_stamp_counts_from_its_arrival(
        bench: Callable[..., Bench]) -> None:
    made, camera = bench(max_age=30.0), Camera()
    made.clock = 1.7e9
    made.send(camera, stamp=0)
    assert camera.settled() == {} and len(camera.published) == 1
    assert 0 <= camera.statistics.summary().stages['total'][0] < 30e3


def test_depth_without_a_pixel_is_published_too(bench: Callable[..., Bench]) -> None:
    made, camera = bench(), Camera()
    made.network.depth = [np.nan, np.nan, np.nan]
    made.send(camera)
    camera.settled()
    assert camera.statistics.summary().published == 1 and np.isnan(camera.published[0][1]).all()


def test_settings_change_from_the_next_frame_on(bench: Callable[..., Bench]) -> None:
    made = bench(near=0.0)
    first, second = made.occupy(), Camera()
    made.worker.configure(made.settings.changed({'near': 1.0, 'flip_augmentation': True}))
    made.release()
    first.settled()
    made.send(second)
    second.settled()
    assert not np.isneginf(first.published[0][1]).any()
    assert np.isneginf(second.published[0][1]).sum() == 2
    assert made.network.flips == [False, True]
    assert first.published[0][2] is not second.published[0][2]


def test_the_preview_has_the_colours_of_the_settings(bench: Callable[..., Bench]) -> None:
    camera = Camera()
    made = bench(**{'preview.colormap': 'magma', 'preview.near': 1.0, 'preview.far': 9.0})
    made.send(camera)
    camera.settled()
    header, depth, (_, preview) = camera.published[0]
    shown = preview.encode(Estimate(header, depth, None, depth.shape)).data
    colours = Colouriser('magma', 1.0, 9.0)(depth).ravel()
    assert np.array_equal(np.frombuffer(shown, np.uint8), colours)


def test_a_loaded_model_takes_over_though_no_frame_comes(bench: Callable[..., Bench]) -> None:
    made, camera = bench(), Camera()
    made.network.loaded = (0.001, 4.0)
    made.worker.adopt()
    until(lambda: made.network.events == ['adopt'])
    made.send(camera)
    assert camera.settled() == {} and np.isposinf(camera.published[0][1]).any()


def test_the_range_is_that_of_the_model_in_use(bench: Callable[..., Bench]) -> None:
    made, before, after = bench(), Camera(), Camera()
    made.send(before)
    before.settled()
    made.network.loaded = (0.001, 4.0)
    made.send(after)
    after.settled()
    assert np.isposinf(before.published[0][1]).tolist() == [[False] * 4 + [True, False]]
    assert np.isposinf(after.published[0][1]).tolist() == [[False] * 2 + [True] * 3 + [False]]


def test_stopping_drops_what_waits_and_lets_the_batch_in_hand_finish(
        bench: Callable[..., Bench]) -> None:
    made, waiting = bench(), Camera()
    busy = made.occupy()
    made.send(waiting)
    assert not made.worker.stop(0.01)
    assert waiting.settled() == {reasons.DEACTIVATED: 1}
    made.release()
    assert made.worker.stop(PATIENCE)
    assert busy.settled() == {} and len(busy.published) == 1 and not waiting.published


def test_an_idle_worker_stops(bench: Callable[..., Bench]) -> None:
    assert bench().worker.stop(PATIENCE)


def test_every_stage_of_a_frame_is_timed(bench: Callable[..., Bench]) -> None:
    made = bench()
    camera = made.occupy()
    made.clock += 0.25
    made.release()
    camera.settled()
    stages = camera.statistics.summary().stages
    assert set(stages) == {'wait', 'decode', 'network', 'publish', 'total'}
    assert stages['total'][0] == pytest.approx(250.0)
    assert all(stage[0] >= 0 for stage in stages.values())


def test_the_wait_counts_from_the_arrival_whatever_the_nodes_clock(
        bench: Callable[..., Bench]) -> None:
    made, camera = bench(), Camera()
    made.clock = 0.0
    made.send(camera, waited=60.0)
    camera.settled()
    assert 60e3 <= camera.statistics.summary().stages['wait'][0] < 1e3 * (60 + PATIENCE)


class Watched(Camera):
    """A camera whose publishing is noted among the network's events."""

    def __init__(self, network: Network, then: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.network, self.then = network, then

    def publish(self, header: Any, found: Prediction, outputs: tuple[Output, ...],
                image: Pixels) -> None:
        self.network.events.append(f'publish {header.frame_id[len("optical_"):]}')
        super().publish(header, found, outputs, image)
        self.then()


def test_on_a_gpu_the_next_frame_is_in_the_network_while_the_last_is_published(
        bench: Callable[..., Bench]) -> None:
    made = bench(overlaps=True)
    camera = Watched(made.network)
    made.occupy()
    made.network.events.clear()
    made.send(camera, 1)
    made.release()
    camera.settled()
    made.network.free.clear()
    made.network.entered.clear()
    made.send(camera, 2)
    assert made.network.entered.wait(PATIENCE)
    made.send(camera, 3)
    made.send(camera, 4, stamp=1001)
    made.release()
    assert camera.settled() == {reasons.REPLACED: 1}
    assert made.network.events[-6:] == [
        'submit [2]', 'wait [2]', 'submit [4]', 'publish 2', 'wait [4]', 'publish 4']
    assert camera.stamps == [1000, 1000, 1001]


def test_on_the_cpu_a_frame_is_published_before_the_next_is_taken(
        bench: Callable[..., Bench]) -> None:
    made = bench()
    camera = Watched(made.network)
    made.occupy()
    made.send(camera, 2)
    made.release()
    camera.settled()
    made.send(camera, 3)
    camera.settled()
    assert made.network.events[-6:] == [
        'submit [2]', 'wait [2]', 'publish 2', 'submit [3]', 'wait [3]', 'publish 3']


def test_a_frame_in_flight_when_publishing_fails_unforeseen_is_counted(
        bench: Callable[..., Bench]) -> None:
    made = bench(overlaps=True)
    bad, other = Camera('bad'), Camera('other')
    bad.error = ValueError('unforeseen')
    made.occupy()
    made.send(bad, 1)
    made.release()
    assert bad.settled() == {reasons.FAILED: 1}
    made.send(other, 2)
    assert other.settled() == {}


def test_another_model_takes_over_between_two_frames_in_flight(
        bench: Callable[..., Bench]) -> None:
    made, camera = bench(overlaps=True), Camera()
    made.occupy()
    made.network.loaded = (0.001, 4.0)
    made.send(camera, 5)
    made.release()
    assert camera.settled() == {}
    assert made.network.events == [
        'submit [255]', 'wait [255]', 'adopt', 'submit [5]', 'wait [5]']


@pytest.mark.parametrize('overlaps', [False, True])
def test_a_lost_device_ends_the_worker_at_once_and_is_told_once(
        bench: Callable[..., Bench], overlaps: bool) -> None:
    made, front, rear = bench(overlaps=overlaps), Camera('front'), Camera('rear')
    error = DeviceLostError('cuda:0 is lost to this process')
    made.network.failing[66] = error
    made.occupy()
    made.send(front, 66)
    made.send(rear, 2)
    made.release()
    assert front.settled() == rear.settled() == {reasons.FAILED: 1}
    until(lambda: made.lost == [error])
    assert made.worker.stop(PATIENCE)
    assert made.network.batches[1:] == [[66, 2]] and not made.warnings
