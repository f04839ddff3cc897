# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM at the worst moments: the end is clean, and quiet."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from .conftest import image
from .test_lifecycle import PATIENCE

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def ends_quietly(node, *numbers: int) -> None:
    began = time.monotonic()
    for number in numbers:
        node.process.send_signal(number)
        time.sleep(0.01)
    assert node.process.wait(timeout=30) == 0, node.text()
    assert time.monotonic() - began < PATIENCE
    for word in ('Traceback', 'Error', 'rror:', 'Failed', 'failed', 'cannot'):
        assert word not in node.text(), node.text()


def flood(peer, kind, service: str, requests: list, repeat: int = 1) -> list:
    """Ask without waiting for an answer."""
    client = peer.client(kind, f'/depth_estimation/{service}')
    asked = []
    for _ in range(repeat):
        asked += [client.call_async(request) for request in requests]
        peer.spin_for(0.01)
    return asked


@pytest.mark.parametrize('number', SIGNALS)
@pytest.mark.slow
def test_within_a_storm_of_parameter_changes(start, checkpoint, peer, number):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    peer.depth_of(image())
    assert flood(peer, SetParameters, 'set_parameters', [
        SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        for name, value in (('near', 0.2), ('far', 9.0), ('network.height', 64),
                            ('max_batch', 3))], repeat=40)
    ends_quietly(node, number)


@pytest.mark.parametrize('number', SIGNALS)
def test_within_a_storm_of_transitions(start, checkpoint, peer, number):
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert flood(peer, ChangeState, 'change_state', [
        ChangeState.Request(transition=Transition(id=each)) for each in (1, 3, 4, 2)], repeat=40)
    flood(peer, GetState, 'get_state', [GetState.Request()])
    ends_quietly(node, number)


def test_more_than_one_signal(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    peer.depth_of(image())
    peer.send('image', image(480, 640))
    ends_quietly(node, signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT)


def test_with_images_on_the_way_in(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    peer.depth_of(image())
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        peer.send('image', image(240, 320))
    ends_quietly(node, signal.SIGINT)


@pytest.mark.parametrize('closed', [
    '>&- 2>&-', *(pytest.param(each, marks=pytest.mark.slow) for each in ('>&-', '<&- >&- 2>&-'))])
def test_a_node_whose_standard_streams_are_closed_serves_and_ends_in_order(
        checkpoint, peer, closed):
    """As daemons do; the log's lines would go into whatever has taken the numbers."""
    node = subprocess.Popen(['bash', '-c', f"""exec '{sys.executable}' -m \
        depth_estimation_ros.ros.main --ros-args -p model:='{checkpoint}' -p device:=cpu \
        -p backend:=torch {closed}"""], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        peer.depth_of(image())
        peer.spin_for(1.0)
        assert node.poll() is None
        node.send_signal(signal.SIGINT)
        assert node.wait(timeout=30) == 0
    finally:
        node.kill()
        node.wait()


def test_a_hangup_that_is_ignored_stays_ignored(checkpoint, peer):
    """Under nohup the node outlives its terminal."""
    node = subprocess.Popen(['nohup', sys.executable, '-m', 'depth_estimation_ros.ros.main',
                             '--ros-args', '-p', f'model:={checkpoint}', '-p', 'device:=cpu',
                             '-p', 'backend:=torch'], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        peer.depth_of(image())
        node.send_signal(signal.SIGHUP)
        peer.depth_of(image())
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=30) == 0
    finally:
        node.kill()
        node.wait()


@pytest.mark.slow
def test_a_script_ends_the_node_that_it_started_in_the_background(checkpoint, peer):
    """Its shell has that ignore SIGINT."""
    script = subprocess.Popen(['bash', '-c', f"""'{sys.executable}' -m \
        depth_estimation_ros.ros.main --ros-args -p model:='{checkpoint}' -p device:=cpu \
        -p backend:=torch & read; kill -INT $!; wait $!"""], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peer.depth_of(image())
    script.communicate(b'now\n', timeout=30)
    assert script.returncode == 0
