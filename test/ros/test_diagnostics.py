# SPDX-License-Identifier: Apache-2.0
"""Diagnostics: what is said about a camera's frames, second by second."""

from __future__ import annotations

from time import monotonic

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from depth_estimation_ros.ros import frame_statistics as reasons
from depth_estimation_ros.ros.diagnostics import CameraWatch, model_status
from depth_estimation_ros.ros.frame_statistics import FrameStatistics
from depth_estimation_ros.ros.monitor import CameraMonitor

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Second:
    """A camera's frame statistics and their watch, moved on a second at a time."""

    def __init__(self) -> None:
        self.statistics, self.logged = FrameStatistics(), list[str]()
        self.watch = CameraWatch('node: front', '/front/image', self.logged.append)
        self.now = 1000.0
        self.status()

    def frames(self, *, published: int = 0, **dropped: int) -> Second:
        """Let frames arrive."""
        for _ in range(published):
            self.statistics.receive()
            self.statistics.publish({'network': 0.02, 'total': 0.05})
        for reason, count in dropped.items():
            for _ in range(count):
                self.statistics.receive()
                self.statistics.drop(reason)
        return self

    def status(self, *faults: str, seconds: float = 1.0) -> DiagnosticStatus:
        """Let time pass and ask."""
        self.now += seconds
        return self.watch.status(self.statistics.summary(), self.now, seconds, list(faults))


@pytest.fixture
def second() -> Second:
    return Second()


def facts(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_a_camera_that_is_served_is_ok(second: Second) -> None:
    status = second.frames(published=30).status()
    assert (status.level, status.message) == (OK, 'depth is published')
    assert (status.name, status.hardware_id) == ('node: front', '/front/image')


def test_the_head_that_serves_a_camera_is_told(second: Second) -> None:
    assert 'domain' not in facts(second.status())
    told = facts(second.watch.status(
        second.statistics.summary(), second.now, 1.0, [], domain=('kitti', 2)))
    assert (told['domain'], told['domain_changes']) == ('kitti', '2')


def test_rates_and_counts_are_told(second: Second) -> None:
    second.frames(published=30, replaced=10).status()
    told = facts(second.frames(published=10, replaced=5).status(seconds=2.0))
    assert (told['input_hz'], told['output_hz']) == ('7.5', '5.0')
    assert (told['received'], told['published'], told['dropped_replaced']) == ('55', '40', '15')
    assert told['seconds_since_last_frame'] == '0.0'
    assert (told['network_ms_p50'], told['total_ms_p99']) == ('20.0', '50.0')


def test_a_silent_camera_is_a_warning_until_it_returns(second: Second) -> None:
    second.frames(published=1).status()
    assert [second.status().level for _ in range(4)] == [OK, OK, WARN, WARN]
    status = second.status()
    assert 'no image on /front/image for 5 s' in status.message
    assert facts(status)['seconds_since_last_frame'] == '5.0'
    assert second.frames(published=1).status().level == OK


def test_each_silence_is_logged_once(second: Second) -> None:
    second.frames(published=1).status()
    for _ in range(6):
        second.status()
    assert len(second.logged) == 1 and '/front/image' in second.logged[0]
    second.frames(published=1).status()
    for _ in range(6):
        second.status()
    assert len(second.logged) == 2


def test_a_camera_that_never_spoke_is_a_warning_too(second: Second) -> None:
    assert second.status(seconds=1.5).level == OK
    assert second.status(seconds=1.5).level == WARN
    assert not second.logged  # its driver may start later than the node
    second.status(seconds=50.0)
    assert not second.logged
    second.status(seconds=15.0)
    assert len(second.logged) == 1


def test_a_clock_that_jumps_back_is_not_silence(second: Second) -> None:
    second.frames(published=1).status()
    second.now -= 500.0
    assert second.status().level == OK
    assert [second.status().level for _ in range(3)] == [OK, OK, WARN]


@pytest.mark.parametrize('reason', [
    reasons.UNDECODABLE, reasons.UNSUITABLE, reasons.TOO_OLD, reasons.FAILED])
def test_many_faulty_frames_are_a_warning_that_names_the_worst(
        second: Second, reason: str) -> None:
    status = second.frames(published=4, **{reason: 6}).status()
    assert status.level == WARN
    assert '6 of 10 frames dropped' in status.message and reason in status.message
    assert second.frames(published=4).status().level == OK


def test_a_camera_whose_every_frame_is_lost_is_an_error_that_says_why(second: Second) -> None:
    for _ in range(12):
        second.statistics.receive()
        second.statistics.drop(reasons.FAILED, 'the network failed: out of memory')
    status = second.status()
    assert status.level == ERROR
    assert status.message == ('12 of 12 frames dropped, most as failed: the network failed: out '
                              'of memory')
    assert second.frames(published=1, failed=11).status('no peer').level == WARN
    assert second.frames(published=30).status().level == OK


def test_what_became_of_a_slow_cameras_last_frame_is_said_until_the_next(second: Second) -> None:
    second.statistics.receive()
    second.status()
    second.statistics.drop(reasons.FAILED, 'out of memory')  # a second after it came
    for _ in range(3):
        status = second.status()
        assert (status.level, 'out of memory' in status.message) == (ERROR, True)
    second.statistics.receive()
    assert second.status().level == ERROR
    assert second.frames(published=1).status().level == OK
    assert second.status().level == OK


def test_a_camera_whose_images_came_is_not_waited_for(second: Second) -> None:
    assert second.status().message == 'waiting for the first image'
    assert 'yet to be published' in second.frames(replaced=1).status().message


def test_few_faulty_frames_are_no_warning(second: Second) -> None:
    assert second.frames(published=5, undecodable=5).status().level == OK


def test_faults_of_several_kinds_add_up(second: Second) -> None:
    status = second.frames(published=3, undecodable=3, failed=2).status()
    assert status.level == WARN and 'most as undecodable' in status.message


@pytest.mark.parametrize('reason', [
    reasons.REPLACED, reasons.UNWANTED, reasons.DEACTIVATED, reasons.PAUSED, reasons.RATE_LIMITED])
def test_ordinary_drops_are_no_warning(second: Second, reason: str) -> None:
    assert second.frames(published=1, **{reason: 29}).status().level == OK


@pytest.mark.parametrize(('reason', 'words'), [
    (reasons.UNWANTED, 'idle'), (reasons.PAUSED, 'paused')])
def test_an_idle_camera_says_why_while_it_does(
        second: Second, reason: str, words: str) -> None:
    assert words in second.frames(**{reason: 30}).status().message
    assert 'published' in second.frames(published=30).status().message


def test_faults_of_the_topics_come_first(second: Second) -> None:
    status = second.frames(published=1, failed=9).status('no peer', 'two publishers')
    assert status.level == WARN
    assert status.message.startswith('no peer; two publishers; 9 of 10')


def test_what_the_monitor_sees_is_a_warning_with_its_number_until_it_is_over(
        second: Second) -> None:
    monitor = CameraMonitor('front')
    black, depth = np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32)

    def watched(image: np.ndarray) -> DiagnosticStatus:
        now = monotonic()
        for look in range(8):
            monitor.observe(image, depth, look, now - 2 + 0.25 * look)
        return second.watch.status(
            second.statistics.summary(), second.now, 1.0, ['no peer'], monitor=monitor)

    status = watched(black)
    assert status.level == WARN and facts(status)['monitor'] == 'image dark'
    assert status.message.startswith('no peer; image dark: mean luma 0 of 255 for 2 s; ')
    assert second.logged[1].startswith('/front/image: image dark')
    assert watched(black).level == WARN and len(second.logged) == 2
    monitor.reset()
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    status = watched(noise)
    assert (status.message, facts(status)['monitor']) == ('no peer', 'ok')
    monitor.reset()
    assert watched(black).level == WARN and len(second.logged) == 3
    second.frames(paused=30)
    status = second.watch.status(
        second.statistics.summary(), second.now, 1.0, [], monitor=monitor)
    assert (status.level, status.message) == (OK, 'paused by the enable service')
    assert facts(status)['monitor'] == 'unknown', 'a picture of before the pause is told'


def test_a_fault_of_the_topics_is_logged_once_whatever_its_numbers(second: Second) -> None:
    for ahead in ('1.2', '1.3', '11.9'):
        second.frames(published=1).status(f'stamped {ahead} s in the future')
    assert second.logged == ['/front/image: stamped 1.2 s in the future']
    second.frames(published=1).status()
    second.frames(published=1).status('stamped 0.2 s in the future', 'no frame_id')
    assert second.logged[1:] == [
        '/front/image: stamped 0.2 s in the future', '/front/image: no frame_id']


def test_simulated_time_without_a_clock_is_a_warning_with_images_or_without(
        second: Second) -> None:
    second.now = -1.0
    status = second.status()
    assert status.level == WARN and 'no /clock has come' in status.message
    assert second.frames(published=1).status().level == OK


def test_the_model_is_ok_until_the_core_warns() -> None:
    known = {'model': 'demo', 'device': 'cpu (2 threads)', 'device_mb': 12}
    status = model_status('node: model', known, '')
    assert (status.level, status.name, status.message) == (OK, 'node: model', 'loaded')
    assert status.hardware_id == 'cpu (2 threads)'
    assert facts(status) == {name: str(value) for name, value in known.items()}
    warned = model_status('node: model', known, 'out of memory')
    assert (warned.level, warned.message) == (WARN, 'out of memory')
