"""Camera and node on two hosts: network namespaces joined by a cable that is shaken and cut."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROBOT, SERVER = 'depth_robot', 'depth_server'
ADDRESS = {ROBOT: '10.231.77.1/24', SERVER: '10.231.77.2/24'}
SECONDS = 60


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['ip', *arguments], capture_output=True, text=True)


def cable(state: str) -> None:
    assert ip('-n', ROBOT, 'link', 'set', ROBOT, state).returncode == 0


@pytest.fixture
def hosts() -> Iterator[None]:
    """Two namespaces joined by a veth pair; needs root and a kernel that has them."""
    if os.geteuid() or shutil.which('ip') is None:
        pytest.skip('needs root and iproute2 to make network namespaces')
    for name in (ROBOT, SERVER):
        ip('netns', 'del', name)
        made = ip('netns', 'add', name)
        if made.returncode:
            pytest.skip(f'network namespaces cannot be made here: {made.stderr.strip()}')
    try:
        joined = ip('link', 'add', ROBOT, 'netns', ROBOT, 'type', 'veth',
                    'peer', 'name', SERVER, 'netns', SERVER)
        if joined.returncode:
            pytest.skip(f'veth pairs cannot be made here: {joined.stderr.strip()}')
        for name in (ROBOT, SERVER):
            ip('-n', name, 'addr', 'add', ADDRESS[name], 'dev', name)
            ip('-n', name, 'link', 'set', name, 'up')
            ip('-n', name, 'link', 'set', 'lo', 'up')
            ip('-n', name, 'route', 'add', '224.0.0.0/4', 'dev', name)
        yield
    finally:
        for name in (ROBOT, SERVER):
            ip('netns', 'del', name)


def start(host: str, log: Path, *command: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    with log.open('w') as stream:
        return subprocess.Popen(['ip', 'netns', 'exec', host, sys.executable, *command],
                                stdout=stream, stderr=stream, env=environment,
                                start_new_session=True)


def count(log: Path) -> int:
    lines = log.read_text().split()
    return int(lines[-1]) if lines else 0


def until(condition: Callable[[], bool], what: str, patience: float = 30.0) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_depth_returns_after_the_cable_was_shaken_and_cut(hosts, checkpoint, tmp_path):
    seen, served = tmp_path / 'robot.txt', tmp_path / 'server.txt'
    node = start(SERVER, served, '-m', 'depth_estimation_ros.ros.main', '--ros-args',
                 '-p', f'model:={checkpoint}', '-p', 'device:=cpu')
    camera = start(ROBOT, seen, str(Path(__file__).with_name('remote_camera.py')), str(SECONDS))
    try:
        until(lambda: count(seen) > 5, f'no depth came over the cable: {served.read_text()}')
        for _ in range(8):
            cable('down')
            time.sleep(0.1)
            cable('up')
            time.sleep(0.3)
        shaken = count(seen)
        until(lambda: count(seen) > shaken + 5, 'no depth after the cable was shaken')
        cable('down')
        time.sleep(1.0)
        cut = count(seen)
        time.sleep(2.0)
        assert count(seen) == cut
        cable('up')
        until(lambda: count(seen) > cut + 5, 'no depth after the cable was cut')
        assert node.poll() is None and 'Traceback' not in served.read_text()
    finally:
        for process in (camera, node):
            process.terminate()
            process.wait(timeout=10)
    assert 'Traceback' not in served.read_text()
