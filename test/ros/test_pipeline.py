# SPDX-License-Identifier: Apache-2.0
"""The way of a frame, step by step and without a thread."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from depth_estimation_ros.core.errors import DeviceLostError
from depth_estimation_ros.core.frame import Frame as View
from depth_estimation_ros.core.maps import Maps
from depth_estimation_ros.ros import codec, finishing
from depth_estimation_ros.ros import frame_statistics as reasons
from depth_estimation_ros.ros.finishing import ON_HOST, Arrived, Finished
from depth_estimation_ros.ros.mailbox import Frame
from depth_estimation_ros.ros.model import Wait
from depth_estimation_ros.ros.pipeline import Pipeline
from depth_estimation_ros.ros.settings import Settings
from depth_estimation_ros.ros.shaping import Shaping

from .test_worker import Camera, Network


class Bench:
    """A pipeline with everything around it."""

    def __init__(self, *, overlaps: bool = False, **settings: Any) -> None:
        self.network = Network(overlaps)
        self.warnings: list[tuple[str, str]] = []
        self.decoded = 0
        self.pipeline = Pipeline(
            self.network, self.decode, settings=Settings().changed(settings), now=lambda: 1000.0,
            warn=lambda kind, sentence: self.warnings.append((kind, sentence)))

    def decode(self, message: Any, bits: int = 16) -> Any:
        self.decoded += 1
        return codec.decode(message, bits)

    @staticmethod
    def frame(camera: Camera, mark: int = 0) -> Frame:
        message = Image(height=1, width=2, step=6, encoding='rgb8', data=bytes([mark] * 6))
        message.header.frame_id = f'optical_{mark}'
        camera.statistics.receive()
        return Frame(camera, message, 1000.0, monotonic())


def test_a_frame_goes_step_by_step() -> None:
    made, camera = Bench(), Camera()
    batch = made.pipeline.begin([made.frame(camera, 7)])
    assert made.decoded == 1 and made.network.events == ['submit [7]']
    assert len(made.pipeline.in_progress) == 1 and not camera.published
    estimated, = made.pipeline.finish(batch)
    assert made.network.events[1:] == ['wait [7]'] and not camera.published
    made.pipeline.publish(estimated)
    assert not made.pipeline.in_progress
    (header, depth, outputs), = camera.published
    assert header.frame_id == 'optical_7' and np.isneginf(depth[0, 0])
    assert {output.topic for output in outputs} == camera.subscribed
    assert camera.statistics.summary().published == 1


def test_a_confidence_needs_the_mirrored_image() -> None:
    made, camera = Bench(), Camera()
    camera.subscribed = frozenset({'depth/confidence'})
    made.pipeline.begin([made.frame(camera, 7)])
    (kind, warning), = made.warnings
    assert kind == 'depth/confidence' and 'flip_augmentation is off' in warning
    made = Bench(flip_augmentation=True)
    made.pipeline.begin([made.frame(camera, 7)])
    assert not made.warnings


def test_a_frame_that_nobody_wants_any_more_is_neither_decoded_nor_estimated() -> None:
    made, camera, other = Bench(), Camera(), Camera()
    camera.subscribed = frozenset()
    made.pipeline.serve([made.frame(camera, 1), made.frame(other, 2)], list)
    assert made.network.batches == [[2]] and made.decoded == 1
    assert camera.statistics.summary().dropped == {reasons.UNWANTED: 1}
    assert not made.warnings and not made.pipeline.in_progress
    made.pipeline.serve([made.frame(camera)], list)
    assert made.network.batches == [[2]]


@pytest.mark.parametrize('topic', ['depth/image_rect', 'depth/preview'])
def test_what_is_wanted_is_decided_before_the_estimate(topic: str) -> None:
    made, camera = Bench(), Camera()
    camera.subscribed = frozenset({topic})
    batch = made.pipeline.begin([made.frame(camera)])
    camera.subscribed = frozenset({'depth/image_rect', 'depth/preview'})
    made.pipeline.publish(*made.pipeline.finish(batch))
    assert [output.topic for output in camera.published[0][2]] == [topic]


@pytest.mark.parametrize('overlaps', [False, True])
def test_more_frames_are_asked_for_only_where_work_overlaps(overlaps: bool) -> None:
    made, camera = Bench(overlaps=overlaps), Camera()
    following = [[made.frame(camera, 2)]]
    made.pipeline.serve([made.frame(camera, 1)], lambda: following.pop() if following else [])
    assert [header.frame_id for header, _, _ in camera.published] == (
        ['optical_1', 'optical_2'] if overlaps else ['optical_1'])


@pytest.mark.parametrize('overlaps', [False, True])
def test_frames_are_published_one_by_one_unless_more_may_be_begun_with(overlaps: bool) -> None:
    made, cameras, order = Bench(overlaps=overlaps), [Camera(), Camera()], []
    finish, publish = made.pipeline._finished, made.pipeline.publish
    made.pipeline._finished = lambda *each: order.append('finish') or finish(*each)  # type: ignore
    made.pipeline.publish = lambda each: order.append('publish') or publish(each)  # type: ignore
    made.pipeline.serve([made.frame(camera) for camera in cameras], list)
    assert order == (['finish', 'finish', 'publish', 'publish'] if overlaps
                     else ['finish', 'publish'] * 2)


@pytest.mark.parametrize('error', [TypeError('odd'), MemoryError('odd')])
def test_a_frame_whose_decoding_fails_unforeseen_harms_no_other(error: Exception) -> None:
    made, cameras = Bench(), [Camera(), Camera(), Camera()]
    whole = made.decode

    def fail(message: Any, bits: int = 16) -> Any:
        if message.header.frame_id == 'optical_1':
            raise error
        return whole(message, bits)

    made.pipeline._decode = fail
    made.pipeline.serve([made.frame(camera, mark) for mark, camera in enumerate(cameras)], list)
    assert [len(camera.published) for camera in cameras] == [1, 0, 1]
    assert cameras[1].statistics.summary().dropped == {reasons.FAILED: 1}
    (_, said), = made.warnings
    assert said == f'preparing it failed: {error!r}' and not made.pipeline.in_progress


@pytest.mark.parametrize('error', [ValueError('odd'), RuntimeError('odd')])
@pytest.mark.parametrize('step', ['_metres', '_steadiness'])
def test_a_frame_whose_depth_cannot_be_finished_harms_no_other(
        monkeypatch: pytest.MonkeyPatch, error: Exception, step: str) -> None:
    made, cameras = Bench(), [Camera(), Camera(), Camera()]
    whole = getattr(made.pipeline._finishing, step)

    def fail(*each: Any, **options: Any) -> Any:
        if any(isinstance(one, Frame) and one.camera is cameras[1] for one in each):
            raise error
        return whole(*each, **options)

    monkeypatch.setattr(made.pipeline._finishing, step, fail)
    made.pipeline.serve([made.frame(camera) for camera in cameras], list)
    assert [len(camera.published) for camera in cameras] == [1, 0, 1]
    assert cameras[1].statistics.summary().dropped == {reasons.FAILED: 1}
    assert not made.pipeline.in_progress and 'finishing its depth failed' in made.warnings[0][1]


def test_a_frame_that_does_not_arrive_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    made, cameras = Bench(), [Camera(), Camera()]
    arrive, calls = Finished.arrive, []

    def fail(finished: Finished) -> Arrived:
        calls.append(finished)
        if len(calls) == 1:
            raise RuntimeError('a copy failed')
        return arrive(finished)

    monkeypatch.setattr(Finished, 'arrive', fail)
    made.pipeline.serve([made.frame(camera) for camera in cameras], list)
    assert [len(camera.published) for camera in cameras] == [0, 1]
    assert cameras[0].statistics.summary().dropped == {reasons.FAILED: 1}


def test_a_device_that_is_lost_while_depth_is_finished_ends_the_work(
        monkeypatch: pytest.MonkeyPatch) -> None:
    made = Bench()

    def lose(*each: Any) -> Any:
        raise DeviceLostError('gone')

    monkeypatch.setattr(made.pipeline._finishing, '_metres', lose)
    with pytest.raises(DeviceLostError):
        made.pipeline.serve([made.frame(Camera())], list)
    assert len(made.pipeline.in_progress) == 1


def noted(moved: list[Any], maps: Maps) -> Maps:
    """Note what is brought to the host."""
    moved.append(maps)
    return maps


def test_where_the_device_has_no_memory_left_the_host_finishes_depth(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    made, camera = Bench(), Camera()
    tries: list[Any] = []
    on_host: list[Any] = []
    metres = made.pipeline._finishing._metres

    def short(values: Any, *each: Any) -> Any:
        tries.append(values)
        if not on_host:
            raise torch.OutOfMemoryError('CUDA out of memory')
        on_host.clear()
        return metres(values, *each)

    monkeypatch.setattr(made.pipeline._finishing, '_metres', short)
    monkeypatch.setattr(finishing, 'to_host', partial(noted, on_host))
    samples: list[Any] = []
    monkeypatch.setattr(made.pipeline._finishing, '_sample',
                        lambda values, frame: samples.append(values))
    made.pipeline.serve([made.frame(camera)], list)
    assert len(camera.published) == len(samples) == 1, 'the try that failed takes no sample'
    made.pipeline.serve([made.frame(camera)], list)
    assert len(camera.published) == 2 and len(tries) == 3, 'the device is not tried again at once'
    monkeypatch.setattr(finishing, 'monotonic', lambda: monotonic() + ON_HOST)
    tries.clear()
    made.pipeline.serve([made.frame(camera)], list)
    assert len(camera.published) == 3 and len(tries) == 2
    assert caplog.text.count('no memory left to finish depth on') == 1


STEADIED: dict[str, Any] = {'temporal.memory': 16}


class Seeing(Camera):
    """A camera of which nothing but its images is known."""

    steadied: float | None = None

    def lens(self, header: Any, width: int, height: int) -> None:
        """Not known."""

    def pose(self, header: Any) -> None:
        """Not known either."""


class Wall(Network):
    """Gives the depth of the model that serves when a batch is begun: 2 m, then 2.04 m."""

    def submit(self, images: list[View], *, flip: bool) -> Wait:
        distance = 2.0 if self.range == Network.range else 2.04
        return lambda: [Maps(torch.full(each.image.shape[:2], distance))
                        for each in images]


@pytest.mark.parametrize('overlaps', [False, True])
def test_depth_of_the_model_before_is_no_part_of_what_is_steadied(overlaps: bool) -> None:
    made, camera = Bench(**STEADIED), Seeing()
    made.network = made.pipeline._estimator = Wall(overlaps)
    levels = np.random.default_rng(1).integers(40, 210, (12, 16, 3)).repeat(8, 0).repeat(8, 1)
    frames = [made.frame(camera) for _ in range(5)]
    for index, frame in enumerate(frames):
        frame.message.height, frame.message.width, frame.message.step = 96, 128, 384
        frame.message.data = levels.astype(np.uint8).tobytes()
        frames[index] = replace(frame, stamp=1000.0 + index / 10)
    later = iter(frames[1:])

    def waiting() -> list[Frame]:
        frame = next(later, None)
        if frame is frames[2]:
            made.network.loaded = (0.001, 90.0)
        return [] if frame is None else [frame]

    made.pipeline.serve(frames[:1], waiting)
    while following := waiting():  # on the CPU they do not overlap
        made.pipeline.serve(following, waiting)
    assert [float(depth[0, 0]) for _, depth, _ in camera.published] == pytest.approx(
        [2.0, 2.0, 2.04, 2.04, 2.04])
    assert camera.steadied == 1.0


def test_depth_that_the_host_finishes_is_steadied_over_the_frames(
        monkeypatch: pytest.MonkeyPatch) -> None:
    made, camera = Bench(**STEADIED), Seeing()
    made.network = made.pipeline._estimator = Wall(False)
    levels = np.random.default_rng(1).integers(40, 210, (12, 16, 3)).repeat(8, 0).repeat(8, 1)
    on_host: list[Any] = []
    shape = Shaping.__call__

    def short(shaping: Shaping, maps: Maps, **options: Any) -> Any:
        if not on_host:
            raise torch.OutOfMemoryError('CUDA out of memory')
        on_host.clear()
        return shape(shaping, maps, **options)

    monkeypatch.setattr(Shaping, '__call__', short)
    monkeypatch.setattr(finishing, 'to_host', partial(noted, on_host))
    for index in range(4):
        frame = made.frame(camera)
        frame.message.height, frame.message.width, frame.message.step = 96, 128, 384
        frame.message.data = levels.astype(np.uint8).tobytes()
        if index == 3:  # the device is tried again, in vain
            monkeypatch.setattr(finishing, 'monotonic', lambda: monotonic() + ON_HOST)
        made.pipeline.serve([replace(frame, stamp=1000.0 + index / 10)], list)
    assert len(camera.published) == 4 and camera.steadied == 1.0
