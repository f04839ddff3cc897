# SPDX-License-Identifier: Apache-2.0
"""Camera and node on two hosts: network namespaces joined by cables as bad as real ones."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .cable import Cable, plugged

ROBOT, SERVER = 'depth_robot', 'depth_server'
ADDRESS = {ROBOT: '10.231.77.1/24', SERVER: '10.231.77.2/24'}
SECONDS = 300
PATIENCE = 60.0

Ages = Callable[[], list[float]]
"""Seconds from an image's stamp to its depth's arrival at the camera, one for each so far."""


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['ip', *arguments], capture_output=True, text=True)


def ip_or_skip(*arguments: str) -> None:
    done = ip(*arguments)
    if done.returncode:
        pytest.skip(f'"ip {" ".join(arguments)}" cannot be done here: {done.stderr.strip()}')


@pytest.fixture
def hosts() -> Iterator[None]:
    """Two namespaces; needs root and a kernel that has them."""
    if os.geteuid() or shutil.which('ip') is None:
        pytest.skip('needs root and iproute2 to make network namespaces')
    try:
        for name in (ROBOT, SERVER):
            ip('netns', 'del', name)
            ip_or_skip('netns', 'add', name)
        yield
    finally:
        for name in (ROBOT, SERVER):
            ip('netns', 'del', name)


def configure() -> None:
    """Bring the network up on both hosts, whose interfaces have the hosts' names."""
    for name in (ROBOT, SERVER):
        ip('-n', name, 'addr', 'add', ADDRESS[name], 'dev', name)
        ip('-n', name, 'link', 'set', name, 'up')
        ip('-n', name, 'link', 'set', 'lo', 'up')
        ip('-n', name, 'route', 'add', '224.0.0.0/4', 'dev', name)


@pytest.fixture
def link(hosts: None) -> Callable[[str], None]:
    """Join the hosts by a veth pair; what comes back sets it up or down, as both hosts notice."""
    ip_or_skip('link', 'add', ROBOT, 'netns', ROBOT, 'type', 'veth',
               'peer', 'name', SERVER, 'netns', SERVER)
    configure()

    def set_link(state: str) -> None:
        assert ip('-n', ROBOT, 'link', 'set', ROBOT, state).returncode == 0

    return set_link


@pytest.fixture
def cable(hosts: None) -> Iterator[Cable]:
    """Join the hosts by a cable that can delay, lose and, unnoticed by either, be cut."""
    with contextlib.ExitStack() as stack:
        try:
            cable = stack.enter_context(plugged(ROBOT, SERVER))
        except OSError as error:
            pytest.skip(f'TAP interfaces cannot be made here: {error}')
        for name in (ROBOT, SERVER):
            ip_or_skip('link', 'set', name, 'netns', name)
        configure()
        yield cable


def start(host: str, log: Path, *command: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    with log.open('w') as stream:
        return subprocess.Popen(['ip', 'netns', 'exec', host, sys.executable, *command],
                                stdout=stream, stderr=stream, env=environment,
                                start_new_session=True)


@contextlib.contextmanager
def running(checkpoint: Path, folder: Path) -> Iterator[Ages]:
    """Run the node on one host and a camera on the other; the node must live to the end."""
    seen, served = folder / 'robot.txt', folder / 'server.txt'
    node = start(SERVER, served, '-m', 'depth_estimation_ros.ros.main', '--ros-args',
                 '-p', f'model:={checkpoint}', '-p', 'device:=cpu', '-p', 'backend:=torch')
    camera = start(ROBOT, seen, str(Path(__file__).with_name('remote_camera.py')), str(SECONDS))

    def ages() -> list[float]:
        assert node.poll() is None, f'the node ended: {served.read_text()}'
        return [float(age) for age in re.findall(r'^\d+\.\d+$', seen.read_text(), re.M)]

    try:
        yield ages
    finally:
        for process in (camera, node):
            process.terminate()
        for process in (camera, node):
            process.wait(timeout=PATIENCE)
        print(seen.read_text(), served.read_text(), sep='\n')
    assert 'Traceback' not in served.read_text()


def coming(ages: Ages, number: int, what: str) -> list[float]:
    """Wait for so many more depth images and return their ages; fail when they do not come."""
    before = len(ages())
    end = time.monotonic() + PATIENCE
    while len(ages()) < before + number:
        assert time.monotonic() < end, f'no depth {what}'
        time.sleep(0.1)
    return ages()[before:]


def assert_none_come(ages: Ages) -> None:
    """Wait for what is under way; after it nothing may come."""
    time.sleep(1.0)
    before = len(ages())
    time.sleep(2.0)
    assert len(ages()) == before


@pytest.mark.slow
def test_depth_returns_after_the_link_was_shaken_and_cut(link, checkpoint, tmp_path):
    with running(checkpoint, tmp_path) as ages:
        coming(ages, 5, 'over the link')
        for _ in range(8):
            link('down')
            time.sleep(0.1)
            link('up')
            time.sleep(0.3)
        coming(ages, 5, 'after the link was shaken')
        link('down')
        assert_none_come(ages)
        link('up')
        coming(ages, 5, 'after the link was cut')


@pytest.mark.slow
def test_depth_is_late_over_a_long_cable_and_outlives_loss_and_a_cut(
        cable, checkpoint, tmp_path):
    with running(checkpoint, tmp_path) as ages:
        prompt = coming(ages, 10, 'over the cable')
        cable.delay = 0.2
        # After this, what was under way at the change has come or is older than the round trip.
        time.sleep(2 * cable.delay)
        late = coming(ages, 10, 'over the long cable')
        assert min(prompt) < 2 * cable.delay <= min(late)
        cable.loss = 0.05
        coming(ages, 10, 'over the long cable that loses frames')
        assert cable.lost > 0
        cable.loss = 1.0
        assert_none_come(ages)
        cable.loss = 0.05
        coming(ages, 5, 'after the cable was cut')
