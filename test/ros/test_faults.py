# SPDX-License-Identifier: Apache-2.0
"""Faults of the world around the node: killed, its model gone, a user who does not listen."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from .conftest import PATIENCE, RunningNode, image, metres
from .test_lifecycle import change
from .test_live_parameters import put
from .test_node import counts

CYCLES = 100
GROWTH = 1.02


def test_after_a_kill_the_next_start_serves(start, checkpoint, peer):
    first = start(model=checkpoint, device='cpu')
    first.wait_for('configured')
    peer.depth_of(image())
    assert first.end(signal.SIGKILL)[0] == -signal.SIGKILL
    second = start(model=checkpoint, device='cpu')
    second.wait_for('configured')
    peer.depth_of(image())
    assert second.end()[0] == 0


class LosingNode(RunningNode):
    module = 'test.ros.losing_node'


def test_a_lost_device_ends_the_process_with_code_1_and_one_line(checkpoint, peer, tmp_path):
    node = LosingNode(tmp_path / 'log.txt', model=checkpoint, device='cpu')
    node.wait_for('configured')
    before = len(node.text().splitlines())
    peer.listen('depth/image_rect', Image)  # or the network idles
    end = time.monotonic() + PATIENCE
    while node.process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(AssertionError):  # once it has ended, nobody listens
            peer.send('image', image(), patience=1.0)
        peer.spin_for(0.05)
    node.process.kill()
    assert node.process.wait() == 1, node.text()
    line, = node.text().splitlines()[before:]
    assert 'an illegal memory access was encountered' in line and '[FATAL]' in line
    assert 'lost to this process' in line and 'a supervisor starts a new process' in line


def test_a_user_who_stalls_holds_up_no_other(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    stalled = rclpy.create_node('stalled')
    stalled.create_subscription(Image, 'depth/image_rect', lambda _: None, QoSProfile(depth=1))
    for seed in range(30):
        peer.depth_of(image(120, 160, seed=seed))
    assert counts(peer)['published'] >= 30
    stalled.destroy_node()
    assert node.end()[0] == 0


def test_a_model_that_vanishes_is_missed_only_when_it_is_needed(start, checkpoint, tmp_path,
                                                                peer):
    folder = tmp_path / 'model'
    shutil.copytree(checkpoint, folder)
    node = start(model=folder, device='cpu')
    node.wait_for('configured')
    shutil.rmtree(folder)
    peer.depth_of(image())
    assert not put(peer, network__width=96, network__height=64)
    node.wait_for('the network stays as it is')
    peer.depth_of(image())
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_CLEANUP)
    assert not change(peer, Transition.TRANSITION_CONFIGURE)
    node.wait_for(f"model '{folder}'")
    assert node.end()[0] == 0


class DarkNode(RunningNode):
    module = 'test.ros.dark_node'


@pytest.fixture
def dark_node(checkpoint, tmp_path):
    running = DarkNode(tmp_path / 'log.txt', '-r', '__ns:=/dark', model=checkpoint, device='cpu')
    running.wait_for('configured')
    yield running
    running.end(signal.SIGKILL)


def test_depth_without_any_pixel_is_published_and_named_until_it_recovers(dark_node, peer):
    def message_after(picture: Image) -> str:
        """Show a picture until diagnostics come; return the camera's message."""
        statuses = peer.listen('/diagnostics', DiagnosticArray)
        statuses.clear()

        def shown() -> bool:
            picture.header = image().header
            peer.send('/dark/image', picture)
            peer.spin_for(0.1)
            return bool(statuses)

        peer.until(shown)
        return str(statuses[-1].status[1].message)

    black = image()
    black.data = bytes(len(black.data))
    assert np.isnan(metres(peer.depth_of(black, '/dark/'))).all()
    peer.until(lambda: 'depth unknown: 100% of pixels' in message_after(black))
    dark_node.wait_for('is the lens covered')
    seeds = iter(range(1000))
    peer.until(lambda: message_after(image(seed=next(seeds))) == 'depth is published')
    dark_node.wait_for('depth unknown is over after')
    assert np.isfinite(metres(peer.depth_of(image(), '/dark/'))).any()


def resident_mb(pid: int) -> float:
    status = Path(f'/proc/{pid}/status').read_text()
    return int(status.split('VmRSS:')[1].split()[0]) / 1024


@pytest.mark.slow
def test_configured_and_cleaned_up_a_hundred_times_it_does_not_grow(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', autostart=False)
    memory = []
    for _ in range(CYCLES):
        assert change(peer, Transition.TRANSITION_CONFIGURE)
        assert change(peer, Transition.TRANSITION_CLEANUP)
        memory.append(resident_mb(node.process.pid))
    assert memory[-1] < GROWTH * max(memory[:CYCLES // 2]), memory
    assert node.end()[0] == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_is_inactive_ends_it_quietly(start, checkpoint, peer, number):
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    code, took = node.end(number)
    assert (code, took < 2.0) == (0, True), node.text()
    assert 'Traceback' not in node.text()
