# SPDX-License-Identifier: Apache-2.0
"""The node beside a naive one, each a process of its own, on a camera of exact rate."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from . import processes
from .models import checkpoint

PACKAGE = 'depth_estimation_ros'
MODULES = {'ours': f'{PACKAGE}.ros.main', 'naive': f'{PACKAGE}.tools.benchmark.naive_node'}
"""By the name of a node, which is also its namespace, the module that runs it."""

METRONOME = f'{PACKAGE}.tools.benchmark.metronome'
STARTUP = 120.0
"""Seconds in which a node must load its model and subscribe."""

FIRST_LOOK = (5, 2.0)
"""Hz and seconds of the camera before a size is measured; our node builds for it meanwhile."""

WARM_UP = 2.0
"""Seconds of the camera that do not count."""

SILENCE = 3.0
"""Seconds without depth after which a node is taken to be through."""

LINGER = 20.0
"""The most seconds to wait for that."""


class Listener(Node):
    """Notes when each depth image came, and whether a node still builds a faster network."""

    def __init__(self, namespace: str) -> None:
        super().__init__('listener', namespace=namespace)
        self.received: dict[int, int] = {}
        """Nanoseconds of reception by stamp."""
        self.building: bool | None = None
        self.create_subscription(Image, 'depth/image_rect', self._receive, QoSProfile(depth=10))
        self.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, 10)

    def _receive(self, message: Image) -> None:
        now = self.get_clock().now().nanoseconds
        stamp = message.header.stamp
        self.received[stamp.sec * 10**9 + stamp.nanosec] = now

    def _diagnose(self, message: DiagnosticArray) -> None:
        facts = {pair.key: pair.value for status in message.status for pair in status.values}
        if 'building' in facts:
            self.building = facts['building'] == 'true'


def measure_nodes(model: str, sizes: list[str], rates: list[int], *, device: str, backend: str,
                  seconds: float) -> list[dict[str, Any]]:
    """
    Measure both nodes in turn at every size and rate.

    :param model: one of :data:`.models.MODELS`, or a folder.
    :param sizes: of the image, as 640x480.
    :param rates: of the camera, frames a second.
    :param device: the nodes' parameter.
    :param backend: our node's parameter.
    :param seconds: of the camera that count, for each row.
    :return: the rows of ros.json.
    :raises NoModelError: when the model is not there.
    """
    os.environ.update(processes.ros_environment())
    with ExitStack() as stack:
        folder = checkpoint(model, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        rclpy.init(args=[])
        stack.callback(rclpy.try_shutdown)
        nodes = {}
        for name, module in MODULES.items():
            nodes[name] = processes.start_module(
                module, '--ros-args', '-r', f'__ns:=/{name}', '-p', f'model:={folder}',
                '-p', f'device:={device}', '-p', f'backend:={backend}')
            stack.callback(processes.end, nodes[name])
        _await_nodes(nodes)
        rows = []
        for size in sizes:
            _measure('ours', nodes['ours'], size, *FIRST_LOOK)
            _settle(nodes['ours'])
            rows += [{'node': name, 'model': model, 'device': device, 'size': size,
                      'rate_hz': rate, **_measure(name, node, size, rate, seconds)}
                     for rate in rates for name, node in nodes.items()]
        return rows


def _await_nodes(nodes: dict[str, subprocess.Popen[str]]) -> None:
    """Wait until every node has loaded its model and subscribed."""
    watch = Node('watch')
    end = time.monotonic() + STARTUP
    for name, node in nodes.items():
        while not watch.count_subscribers(f'/{name}/image'):
            _check(name, node)
            if time.monotonic() > end:
                raise RuntimeError(f'the node /{name} did not subscribe within {STARTUP:.0f} s')
            time.sleep(0.1)
    watch.destroy_node()


def _settle(node: subprocess.Popen[str]) -> None:
    """Wait until our node has built the fastest network for the size it has seen."""
    listener = Listener('ours')
    end = time.monotonic() + STARTUP
    while listener.building is not False:
        _check('ours', node)
        if time.monotonic() > end:
            raise RuntimeError(f'the node /ours still builds after {STARTUP:.0f} s')
        rclpy.spin_once(listener, timeout_sec=0.1)
    listener.destroy_node()


def _check(name: str, node: subprocess.Popen[str]) -> None:
    if node.poll() is not None:
        raise RuntimeError(f'the node /{name} ended with code {node.returncode}: its log says why')


def _measure(name: str, node: subprocess.Popen[str], size: str, rate: int,
             seconds: float) -> dict[str, Any]:
    listener = Listener(name)
    frames = round(rate * (WARM_UP + seconds))
    camera = processes.start_module(
        METRONOME, '--size', size, '--rate', str(rate), '--frames', str(frames),
        '--wait', str(STARTUP), '--ros-args', '-r', f'__ns:=/{name}')
    try:
        before = processes.cpu_seconds(node)
        sent = _listen(listener, node, camera, STARTUP + 3 * frames / rate)
        used = processes.cpu_seconds(node) - before
    finally:
        processes.end(camera)
        listener.destroy_node()
    counted = [stamp for stamp in sent if stamp >= sent[0] + WARM_UP * 1e9]
    duration = (sent[-1] - sent[0]) / 1e9
    return {**summary(counted, listener.received), 'cpu_s': round(used, 2),
            'cpu_percent': round(100 * used / duration, 1), 'seconds': round(duration, 1)}


def _listen(listener: Listener, node: subprocess.Popen[str], camera: subprocess.Popen[str],
            timeout: float) -> list[int]:
    """Listen until the camera and then the node are through; return the stamps of the camera."""
    end = time.monotonic() + timeout
    while camera.poll() is None and time.monotonic() < end:
        _check(listener.get_namespace().strip('/'), node)
        rclpy.spin_once(listener, timeout_sec=0.1)
    if camera.returncode or camera.stdout is None:
        raise RuntimeError(f'the camera of {listener.get_namespace()} did not finish')
    count, quiet, end = -1, time.monotonic(), time.monotonic() + LINGER
    while time.monotonic() < min(end, quiet + SILENCE):
        if len(listener.received) > count:
            count, quiet = len(listener.received), time.monotonic()
        rclpy.spin_once(listener, timeout_sec=0.05)
    stamps: list[int] = json.loads(camera.stdout.read())
    return stamps


def summary(sent: list[int], received: dict[int, int]) -> dict[str, Any]:
    """
    Summarise how frames came through.

    :param sent: their stamps in nanoseconds.
    :param received: nanoseconds of reception by stamp, of these frames and perhaps others.
    :return: milliseconds of latency and jitter (the standard deviation between receptions).
    """
    arrivals = [(stamp, received[stamp]) for stamp in sent if stamp in received]
    latency = [(arrival - stamp) / 1e6 for stamp, arrival in arrivals] or [float('nan')]
    gaps = np.diff([arrival for _, arrival in arrivals]) / 1e6
    length = (sent[-1] - sent[0]) / 1e9 * len(sent) / max(len(sent) - 1, 1)
    return {
        'sent': len(sent), 'received': len(arrivals), 'drops': len(sent) - len(arrivals),
        'fps': round(len(arrivals) / length, 1) if length else None,
        'latency_p50_ms': _rounded(np.percentile(latency, 50)),
        'latency_p99_ms': _rounded(np.percentile(latency, 99)),
        'jitter_ms': _rounded(gaps.std()) if len(gaps) else None}


def _rounded(milliseconds: float) -> float | None:
    return round(float(milliseconds), 1) if np.isfinite(milliseconds) else None
