# SPDX-License-Identifier: Apache-2.0
"""Real processes over real DDS: the node as its user starts it, and a peer that talks to it."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..conftest import ROOT
from .nursery import Nursery

PATIENCE = 60.0
"""Seconds for anything that must happen; discovery alone may take three."""


def until(condition: Callable[[], bool], what: str = 'nothing happened') -> None:
    """Wait until the condition holds; fail when it does not."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.002)


ENVIRONMENT = dict(os.environ)
"""That of the run, before a test changes it for itself."""

_nurseries: list[Nursery] = []


def nursery() -> Nursery:
    """Return this run's nursery, made when it is first asked for."""
    if not _nurseries:
        _nurseries.append(Nursery(ENVIRONMENT, ROOT))
        atexit.register(_nurseries[0].close)
    return _nurseries[0]


class RunningNode:
    """The executable as a process of its own, its log in a file."""

    module = 'depth_estimation_ros.ros.main'

    def __init__(self, log: Path, *arguments: str, fresh: bool = False, **parameters: Any) -> None:
        """
        Start it.

        :param fresh: by Python from nothing, as what looks at imports needs, and a test that
            changed PYTHONPATH gets; else out of the nursery, seconds sooner.
        """
        self.log = log
        parameters.setdefault('backend', 'torch')  # or each start would build a network beside it
        flags = [flag for name, value in parameters.items()
                 for flag in ('-p', f'{name.replace("__", ".")}:={value}')]
        arguments = ('--ros-args', *flags, *arguments)
        env = {**os.environ, 'RCUTILS_LOGGING_BUFFERED_STREAM': '0'}
        log.touch()
        self.process: subprocess.Popen[bytes]
        if not fresh and env.get('PYTHONPATH') == ENVIRONMENT.get('PYTHONPATH'):
            self.process = nursery().start(self.module, list(arguments), log, env)
            return
        with log.open('w') as stream:
            self.process = subprocess.Popen(
                [sys.executable, '-m', self.module, *arguments], stdout=stream, stderr=stream,
                start_new_session=True, env=env)

    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, patience: float = PATIENCE) -> None:
        """Wait until the log holds ``text``; fail when it does not come or the node ends."""
        end = time.monotonic() + patience
        while text not in self.text():
            assert self.process.poll() is None, f'the node ended: {self.text()}'
            assert time.monotonic() < end, f'no {text!r} in the log: {self.text()}'
            time.sleep(0.02)

    def end(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE)
        return code, time.monotonic() - start

    def leave(self) -> None:
        """End if still there: asked first, since a killed one leaves its shared memory behind."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Peer(Node):
    """A camera and a user of the depth in one: sends images, collects what comes back."""

    def __init__(self) -> None:
        super().__init__('peer', namespace='/')
        self.executor_ = SingleThreadedExecutor()
        self.executor_.add_node(self)
        self.seen: dict[str, list[Any]] = {}
        self._senders: dict[str, Any] = {}
        self._receivers: dict[str, Any] = {}
        self._known_clients: dict[str, Any] = {}

    def client(self, kind: Any, service: str) -> Any:
        """
        Return a client of a lifecycle node's service, which has discovered the client in turn.

        A server drops its answers to a client that it has not discovered yet, and nothing tells
        the client. Discovery keeps its order: where the node answers one that was made later, it
        knows this one as well.
        """
        if service not in self._known_clients:
            client = self._known_clients[service] = self.create_client(kind, service)
            later = self.create_client(GetState, f'{service.rsplit("/", 1)[0]}/get_state')
            self.until(lambda: client.service_is_ready() and later.service_is_ready())
            asked: list[Any] = []
            while not any(future.done() for future in asked):
                assert len(asked) < 2 * PATIENCE, 'no answer'
                asked.append(later.call_async(GetState.Request()))
                with contextlib.suppress(AssertionError):
                    self.until(asked[-1].done, 0.5)
            self.destroy_client(later)
        return self._known_clients[service]

    def listen(self, topic: str, kind: Any, qos: QoSProfile | None = None) -> list[Any]:
        """Subscribe and return the list that messages are appended to."""
        if topic not in self._receivers:
            self.seen[topic] = []
            self._receivers[topic] = self.create_subscription(
                kind, topic, self.seen[topic].append, qos or QoSProfile(depth=10))
        return self.seen[topic]

    def deafen(self) -> None:
        """Drop every subscription."""
        for receiver in self._receivers.values():
            self.destroy_subscription(receiver)
        self._receivers.clear()

    def send(self, topic: str, message: Any, patience: float = PATIENCE) -> Any:
        """Publish with a camera's QoS, once somebody listens; return the message."""
        if topic not in self._senders:
            self._senders[topic] = self.create_publisher(
                type(message), topic, qos_profile_sensor_data)
        self.until(lambda: self._senders[topic].get_subscription_count() > 0, patience)
        self._senders[topic].publish(message)
        return message

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Spin until the condition holds; fail when it does not."""
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, 'nothing came'
            self.executor_.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor_.spin_once(timeout_sec=0.02)

    def depth_of(self, message: Any, prefix: str = '') -> Image:
        """Send an image until its depth comes (best effort may lose one); return the depth."""
        kind = 'image/compressed' if isinstance(message, CompressedImage) else 'image'
        depths = self.listen(f'{prefix}depth/image_rect', Image)
        end = time.monotonic() + PATIENCE
        while True:
            self.send(f'{prefix}{kind}', message)
            with contextlib.suppress(AssertionError):
                self.until(lambda: any(d.header == message.header for d in depths), 2.0)
            for depth in depths:
                if depth.header == message.header:
                    return depth
            assert time.monotonic() < end, 'no depth came back'

    def diagnostics(self) -> dict[str, Any]:
        """Return the newest status of each name that comes from now on."""
        statuses = self.listen('/diagnostics', DiagnosticArray)
        statuses.clear()
        self.until(lambda: len(statuses) > 0)
        return {status.name.split(': ')[-1]: status for status in statuses[-1].status}


@pytest.fixture(scope='session', autouse=True)
def _ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def peer() -> Iterator[Peer]:
    node = Peer()
    yield node
    node.destroy_node()


@pytest.fixture(scope='module')
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningNode]]:
    """Start nodes; whatever is left running is ended at the end of the module."""
    running: list[RunningNode] = []

    def run(*arguments: str, **parameters: Any) -> RunningNode:
        log = tmp_path_factory.mktemp('node') / 'log.txt'
        running.append(RunningNode(log, *arguments, **parameters))
        return running[-1]

    yield run
    for node in running:
        node.leave()


_COUNTER = iter(range(1, 10**9))


def stamped(message: Any, frame_id: str = 'camera_optical_frame') -> Any:
    """Give a message a header that no other message of this run has, in the recent past."""
    now = time.time_ns() - 10_000_000
    message.header.stamp.sec = now // 10**9
    message.header.stamp.nanosec = now % 10**9 // 1000 * 1000 + next(_COUNTER) % 1000
    message.header.frame_id = frame_id
    return message


def image(height: int = 48, width: int = 64, encoding: str = 'rgb8', channels: int = 3,
          seed: int = 0, padding: int = 0) -> Image:
    """Make a random image with a fresh header."""
    pixels = np.random.default_rng(seed).integers(
        0, 256, (height, width * channels + padding), np.uint8)
    return stamped(Image(height=height, width=width, encoding=encoding,
                         step=width * channels + padding, data=pixels.tobytes()))


def metres(depth: Image) -> np.ndarray:
    """View a 32FC1 message."""
    assert depth.encoding == '32FC1' and depth.step == 4 * depth.width
    return np.frombuffer(depth.data, np.float32).reshape(depth.height, depth.width)


def camera_info(height: int = 48, width: int = 64) -> CameraInfo:
    focal = float(width)
    return stamped(CameraInfo(
        height=height, width=width, distortion_model='plumb_bob', d=[0.0] * 5,
        k=[focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, width / 2, 0.0, 0.0, focal, height / 2, 0.0, 0.0, 0.0, 1.0, 0.0]))
