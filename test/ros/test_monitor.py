# SPDX-License-Identifier: Apache-2.0
"""The safety monitor: named faults with their numbers, which begin, last and end; no others."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray

from depth_estimation_ros.core.monitor.look import Look, look_at
from depth_estimation_ros.recordings import find_cameras, open_recording, shots, stamp_of
from depth_estimation_ros.ros import monitor as module
from depth_estimation_ros.ros.monitor import PERIOD, STALE, CameraMonitor
from depth_estimation_ros.ros.monitor_checks import CHECKS, MonitorSettings
from training.monitor.camera import defocused, draw_settings, photograph
from training.monitor.rooms import views

from .conftest import Peer, RunningNode, image, metres
from .test_live_parameters import put

Pixels = NDArray[np.uint8]

SOURCE = os.environ.get('DEPTH_TEST_RECORDING', '')
DEPTH = np.full((48, 64), 2.0, np.float32)
CAMERA = draw_settings(np.random.default_rng(3))
GONE = np.full_like(DEPTH, np.nan)
AT_THE_LENS, SKY = np.full_like(DEPTH, -np.inf), np.full_like(DEPTH, np.inf)


class Watched:
    """A monitor that is shown a camera's frames, 10 a second."""

    def __init__(self, **limits: float) -> None:
        self.monitor, self.now, self.frames = CameraMonitor('front'), 100.0, 0
        self.monitor.settings = MonitorSettings(**limits)  # type: ignore[arg-type]

    def show(self, seconds: float, picture: str = 'healthy',
             depth: NDArray[np.float32] = DEPTH) -> Watched:
        """Show pictures of a kind by turns."""
        for _ in range(round(10 * seconds)):
            self.now, self.frames = self.now + 0.1, self.frames + 1
            self.monitor.observe(shown(picture, self.frames), depth, self.now, self.now)
        return self

    @property
    def faults(self) -> list[str]:
        return self.monitor.diagnose(0, self.now)[0]

    @property
    def facts(self) -> dict[str, str]:
        return self.monitor.diagnose(0, self.now)[1]


@cache
def pictures() -> dict[str, list[Pixels]]:
    """Return a few pictures of each kind, each with noise of its own where a camera has any."""
    light = next(views('test', 0, 1, 4))

    def taken(level: float = CAMERA.sensor.level, defocus: float = 0.0) -> list[Pixels]:
        return [photograph(defocused(light, defocus), CAMERA.frame(number).with_level(level))
                for number in range(5)]

    walls = [np.random.default_rng(number).normal(90, 2, (120, 160, 3)) for number in range(5)]
    return {'healthy': taken(), 'frozen': taken()[:1], 'dark': taken(0.04),
            'saturated': taken(1.4), 'blurred': taken(defocus=8),
            'covered': [wall.astype(np.uint8) for wall in walls],
            'black': [np.zeros((120, 160, 3), np.uint8)]}


def shown(picture: str, number: int) -> Pixels:
    of = pictures()[picture]
    return of[number // 2 % len(of)]


def test_a_camera_in_order_has_numbers_and_no_fault() -> None:
    watched = Watched().show(5)
    assert not watched.faults
    facts = watched.facts
    assert facts.pop('monitor') == 'ok' and facts.keys() == {each.key for each in CHECKS.values()}
    assert float(facts['image_luma']) > 50 and float(facts['image_sharpness']) > 0.24
    assert facts['image_still_s'] == '0.0' and facts['depth_unknown'] == '0.000'


@pytest.mark.parametrize(('picture', 'depth', 'said'), [
    ('dark', DEPTH, 'image dark: mean luma 10 of 255 for 5 s; '),
    ('saturated', DEPTH, 'image saturated: '),
    ('blurred', DEPTH, 'image blurred: edges have 0.1'),
    ('covered', DEPTH, 'lens covered: 100% of the picture stays without texture for '),
    ('frozen', DEPTH, 'picture frozen: the same for 5 s while its stamps go on; '),
    ('healthy', GONE, 'depth unknown: 100% of pixels are NaN for 5 s; '),
    ('healthy', AT_THE_LENS, 'depth out of range: 100% of pixels are nearer than near or '),
    ('healthy', SKY, 'depth out of range: 100%'),
])
def test_each_fault_is_named_with_its_number_until_it_is_over(
        picture: str, depth: NDArray[np.float32], said: str,
        caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched().show(2)
    with caplog.at_level(logging.INFO, 'depth_estimation_ros'):
        fault, = watched.show(5, picture, depth).faults
        assert fault.startswith(said)
        name = fault.split(':')[0]
        assert watched.facts['monitor'] == name
        assert not watched.show(2).faults and watched.facts['monitor'] == 'ok'
    assert [record.getMessage()[:len(name) + 21] for record in caplog.records] == [
        f'front: {name} is over after']


@pytest.mark.parametrize('name', CHECKS)
def test_a_limit_of_zero_is_off(name: str) -> None:
    picture = name if name in pictures() else 'healthy'
    depth = {'unknown': GONE, 'out_of_range': SKY}.get(name, DEPTH)
    watched = Watched(**{name: 0})
    watched.show(5, picture, depth)
    for change in range(50):
        watched.monitor.diagnose(change if name == 'domain_changes' else 0, watched.now)
    watched.show(2, picture, depth)
    assert not [fault for fault in watched.faults if fault.startswith(CHECKS[name].name)]
    assert CHECKS[name].key in watched.facts


def test_single_frames_are_no_fault() -> None:
    watched = Watched().show(2)
    for _ in range(6):
        watched.show(0.5).show(0.4, 'dark').show(0.1, 'black', GONE)
        assert not watched.faults


def test_asking_again_makes_no_frame_last() -> None:
    """At half a frame a second, and of a camera that stops after a bad one."""
    watched = Watched()
    for _ in range(5):
        for picture in ('healthy', 'black'):
            watched.monitor.observe(shown(picture, 0), DEPTH, watched.now, watched.now)
            for _ in range(2):
                watched.now += 1.0
                assert not watched.faults
    for _ in range(6):
        watched.now += 1.0
        assert not watched.faults


def test_what_was_found_elsewhere_is_named_too() -> None:
    watched = Watched()
    assert watched.monitor.diagnose(0, watched.now) == ([], {'monitor': 'unknown'})
    watched.show(1)
    faults, facts = watched.monitor.diagnose(0, watched.now, others=['floor disagrees'])
    assert not faults and facts['monitor'] == 'floor disagrees'


def test_a_black_picture_is_dark_and_nothing_else() -> None:
    fault, = Watched().show(6, 'black').faults
    assert fault.startswith('image dark: mean luma 0 of 255 for 6 s')


def test_stamps_that_stand_still_are_no_frozen_picture() -> None:
    watched = Watched()
    for _ in range(50):
        watched.now += 0.1
        watched.monitor.observe(shown('frozen', 0), DEPTH, 7.0, watched.now)
    assert not watched.faults


def test_changes_of_the_metric_head_are_counted_within_a_minute() -> None:
    watched = Watched().show(1)
    for change in range(7):
        watched.show(2)
        assert not watched.monitor.diagnose(change, watched.now)[0]
    watched.show(2)
    watched.monitor.diagnose(7, watched.now)
    fault, = watched.monitor.diagnose(7, watched.now + 1)[0]
    assert fault.startswith('domain changes: another metric head 7 times in a minute; ')
    watched.show(55)
    watched.monitor.diagnose(7, watched.now)
    assert not watched.monitor.diagnose(7, watched.now + 1)[0]


def test_what_is_old_says_nothing() -> None:
    watched = Watched().show(5, 'dark')
    assert watched.faults
    watched.now += STALE + 0.1
    assert not watched.faults and watched.facts == {'monitor': 'unknown'}
    watched.show(0.3, 'dark')
    assert not watched.faults, 'the darkness of before counts'
    watched.show(5, 'dark').monitor.reset()
    assert not watched.faults


def test_not_every_frame_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Look] = []

    def look(seen: Pixels) -> Look:
        looks.append(look_at(seen))
        return looks[-1]

    monkeypatch.setattr(module, 'look_at', look)
    watched = Watched()
    for _ in range(100):
        watched.now += 0.01
        watched.monitor.observe(shown('black', 0), DEPTH, watched.now, watched.now)
    assert len(looks) == 1 / PERIOD


def test_limits_that_change_count_from_the_next_look_on() -> None:
    depth = np.where(np.arange(64) < 45, np.float32(np.nan), DEPTH)
    watched = Watched().show(3, depth=depth)
    assert watched.faults[0].startswith('depth unknown: 70% of pixels are NaN for 3 s')
    watched.monitor.settings = MonitorSettings(unknown=0.8)
    assert not watched.show(2, depth=depth).faults


@pytest.mark.skipif(not SOURCE, reason='DEPTH_TEST_RECORDING names no recording of a camera')
def test_a_real_camera_in_order_has_no_fault() -> None:
    recording = open_recording(SOURCE)
    monitor, looks = CameraMonitor('real'), 0
    for shot in shots(recording, find_cameras(recording)[0]):
        message, stamp = shot.image.message, stamp_of(shot.image.message) * 1e-9
        decoded = np.asarray(cv2.imdecode(message.data, cv2.IMREAD_COLOR), np.uint8)
        pixels = np.ascontiguousarray(decoded[..., ::-1])
        look = look_at(pixels)
        for name, value in (('dark', look.luma), ('saturated', look.saturated),
                            ('blurred', look.sharpness)):
            assert not CHECKS[name].is_fault(value, getattr(MonitorSettings(), name)), value
        monitor.observe(pixels, DEPTH, stamp, stamp)
        looks += 1
        assert not monitor.diagnose(0, stamp)[0]
    assert looks > 10


@pytest.fixture(scope='module')
def node(start: Callable[..., RunningNode], checkpoint: Any) -> RunningNode:
    running = start(model=checkpoint, device='cpu')
    running.wait_for('configured')
    return running


SEEDS = iter(range(10**6))


def status_after(peer: Peer, data: bytes | None = None) -> DiagnosticStatus:
    """Show pictures, each another one unless it is given, until the camera's status comes."""
    statuses = peer.listen('/diagnostics', DiagnosticArray)
    statuses.clear()

    def shown() -> bool:
        picture = image(seed=next(SEEDS))
        picture.data = data or picture.data
        peer.send('image', picture)
        peer.spin_for(0.1)
        return any(len(status.status) > 1 for status in statuses)

    peer.until(shown)
    return statuses[-1].status[1]


def test_the_node_warns_of_the_dark_and_says_when_it_is_over(node: RunningNode,
                                                             peer: Peer) -> None:
    peer.depth_of(image())
    peer.until(lambda: status_after(peer).message == 'depth is published')
    darkness = bytes(np.full(48 * 64 * 3, 4, np.uint8))
    peer.until(lambda: 'image dark: mean luma 4 of 255' in status_after(peer, darkness).message)
    status = status_after(peer, darkness)
    facts = {pair.key: pair.value for pair in status.values}
    assert status.level == DiagnosticStatus.WARN
    assert (facts['monitor'], facts['image_luma']) == ('image dark', '4.0')
    published = int(facts['published'])
    peer.until(lambda: (status := status_after(peer)).message == 'depth is published'
               and status.level == DiagnosticStatus.OK)
    node.wait_for('image dark is over after')
    assert node.text().count('/image: image dark: mean luma') == 1
    facts = {pair.key: pair.value for pair in status_after(peer).values}
    assert int(facts['published']) > published, 'the monitor stops depth'


@pytest.mark.slow
def test_the_node_warns_of_a_frozen_picture_unless_told_not_to(node: RunningNode,
                                                               peer: Peer) -> None:
    same = bytes(image(seed=1).data)
    assert np.isfinite(metres(peer.depth_of(image(seed=1)))).all()
    peer.until(lambda: 'picture frozen: the same for ' in status_after(peer, same).message)
    assert not put(peer, monitor__frozen=0.0)
    peer.until(lambda: status_after(peer, same).message == 'depth is published')
