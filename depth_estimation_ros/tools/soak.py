# SPDX-License-Identifier: Apache-2.0
"""
Hours in minutes: four cameras, bad frames, changing parameters; then everything must add up.

The networks for every batch in use are built first, so that memory may not grow from then on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from tqdm import tqdm

from ..report import write_report
from .demo import NODE, DemoError
from .soak_report import Readings, faults, picture, report

CAMERAS = {'front': (30.0, 480, 640), 'rear': (15.0, 240, 320), 'left': (10.0, 120, 160),
           'right': (4.0, 480, 640)}
"""Hz, height and width of each camera."""

BAD = 0.01
"""The share of frames that are broken."""

CHANGES: dict[str, list[Any]] = {
    'near': [0.1, 0.5, 1.0], 'far': [0.0, 5.0, 8.0], 'flip_augmentation': [False, True],
    'preview.colormap': ['turbo', 'magma', 'no such map'], 'preview.far': [10.0, 3.0, -1.0],
    'max_batch': [1, 2, 4, 8], 'max_rate': [[0.0], [5.0], [10.0, 0.0, 0.0, 2.0]],
    'max_age': [0.0, 0.5, 10.0],
}
"""Values that parameters are set to at random; some make no sense and must be refused."""

CHANGE_EVERY = 2.0
STARTUP = 120.0
QUIET, BUILDS = 10.0, 600.0
"""Seconds without a build after which all are done, and the seconds given to that."""

SETTLE = 4.0
"""Seconds after the last image in which all of them must be accounted for."""


class Rig(Node):
    """Four cameras, a user of every depth, and an operator who cannot leave parameters alone."""

    def __init__(self, seed: int) -> None:
        super().__init__('soak')
        self.sent = dict.fromkeys(CAMERAS, 0)
        self.received = dict.fromkeys(CAMERAS, 0)
        self.statistics: dict[str, dict[str, str]] = {}
        """By camera, and for the model, what /diagnostics said last."""
        self.refused = self.accepted = 0
        self.built = 0.0
        """When /diagnostics last told of a build, on the monotonic clock."""
        self._random = random.Random(seed)
        self._pixels = np.random.default_rng(seed).integers(0, 256, 480 * 640 * 3, np.uint8)
        self._senders = {name: self.create_publisher(
            Image, f'{name}/image', qos_profile_sensor_data) for name in CAMERAS}
        for name in CAMERAS:
            self.create_subscription(Image, f'{name}/depth/image_rect', self._counter(name), 5)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, 5)
        self._operator = self.create_client(SetParameters, 'depth_estimation/set_parameters')

    @property
    def ready(self) -> bool:
        """Whether the node subscribes to every camera."""
        return all(sender.get_subscription_count() for sender in self._senders.values())

    def start_cameras(self) -> list[Any]:
        """Let the cameras loose; return their timers."""
        return [self.create_timer(1 / rate, self._camera(name, height, width))
                for name, (rate, height, width) in CAMERAS.items()]

    def start_operator(self) -> list[Any]:
        """Let the operator loose; return the timer."""
        return [self.create_timer(CHANGE_EVERY, self._change)]

    def set(self, name: str, value: Any) -> Any:
        """Set a parameter of the node; return the answer that will come."""
        parameter = Parameter(name, value=value)
        return self._operator.call_async(
            SetParameters.Request(parameters=[parameter.to_parameter_msg()]))

    def _camera(self, name: str, height: int, width: int) -> Any:
        def send() -> None:
            message = Image(height=height, width=width, encoding='rgb8', step=3 * width)
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = name
            message.data.frombytes(self._pixels[:3 * height * width].data)
            if self._random.random() < BAD:
                self._break(message)
            self._senders[name].publish(message)
            self.sent[name] += 1
        return send

    def _break(self, message: Image) -> None:
        fault = self._random.choice(['step', 'encoding', 'width', 'height'])
        setattr(message, fault, {'step': 1, 'encoding': 'plaid8', 'width': 2**31,
                                 'height': message.height + 1}[fault])

    def _counter(self, name: str) -> Any:
        def count(_: Image) -> None:
            self.received[name] += 1
        return count

    def _change(self) -> None:
        name = self._random.choice(list(CHANGES))
        self.set(name, self._random.choice(CHANGES[name])).add_done_callback(self._note)

    def _note(self, future: Any) -> None:
        if future.result().results[0].successful:
            self.accepted += 1
        else:
            self.refused += 1

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.statistics[status.name.split(': ')[-1]] = {
                pair.key: pair.value for pair in status.values}
        if self.statistics.get('model', {}).get('building') != 'false':
            self.built = time.monotonic()


def run(seconds: float, model: str, seed: int, output: Path) -> dict[str, Any]:
    """
    Soak the node, draw its memory and return the figures of report.json.

    :param output: the folder for the picture.

    :raises DemoError: when the node ends early or never subscribes.
    """
    rclpy.init()
    rig, readings = Rig(seed), Readings()
    node = subprocess.Popen(
        [sys.executable, '-m', NODE, '--ros-args', '-p', f'model:={model}', '-p',
         f'cameras:={json.dumps(list(CAMERAS))}', '--log-level', 'error'], start_new_session=True)
    try:
        _spin(rig, node, STARTUP, lambda: rig.ready)
        if not rig.ready:
            raise DemoError(f'the node did not subscribe within {STARTUP:.0f} s')
        timers = rig.start_cameras()
        _build(rig, node, readings)
        timers += rig.start_operator()
        readings.begin()
        for _ in tqdm(range(round(seconds)), unit='s', desc='soak'):
            _spin(rig, node, 1.0)
            readings.read(node.pid)
        for timer in timers:
            rig.destroy_timer(timer)
        _spin(rig, node, SETTLE)
        picture(readings, output / 'memory.png')
        return {**report(readings, {name: rig.statistics[name] for name in CAMERAS}),
                'sent': sum(rig.sent.values()), 'depth_received': dict(rig.received),
                'changes_accepted': rig.accepted, 'changes_refused': rig.refused}
    finally:
        node.send_signal(signal.SIGINT)
        node.wait(timeout=10)
        rclpy.try_shutdown()


def _build(rig: Rig, node: subprocess.Popen[bytes], readings: Readings) -> None:
    """Serve the largest batches until the networks for all of them are built."""
    rig.set('flip_augmentation', True)  # two images of the network for each of a camera
    rig.built = time.monotonic()
    end = rig.built + BUILDS
    while time.monotonic() - rig.built < QUIET:
        if time.monotonic() > end:
            raise DemoError(f'the networks were not built within {BUILDS:.0f} s')
        _spin(rig, node, 1.0)
        readings.read(node.pid)
    rig.set('flip_augmentation', False)


def _spin(rig: Rig, node: subprocess.Popen[bytes], seconds: float,
          done: Any = lambda: False) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        if node.poll() is not None:
            raise DemoError(f'the node ended with code {node.returncode}')
        rclpy.spin_once(rig, timeout_sec=0.02)


def main() -> int:
    """Run from the command line; the exit code says whether everything added up."""
    parser = argparse.ArgumentParser(prog='soak', description=__doc__)
    parser.add_argument('--seconds', type=float, default=600.0)
    parser.add_argument('--model', default='demo', help='hub id, folder, or demo')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--output', type=Path, default=Path('soak_output'))
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True, parents=True)
    try:
        figures = run(options.seconds, options.model, options.seed, options.output)
    except DemoError as error:
        print(f'soak: {error}', file=sys.stderr)
        return 1
    (options.output / 'report.json').write_text(json.dumps(figures, indent=2) + '\n')
    write_report(options.output)
    curve = figures.pop('rss_mb')
    print(json.dumps({**figures, 'rss_mb': f'{len(curve)} readings in report.json'}, indent=2))
    for fault in faults(figures):
        print(f'soak: failed: {fault}', file=sys.stderr)
    return 1 if faults(figures) else 0


if __name__ == '__main__':
    sys.exit(main())
