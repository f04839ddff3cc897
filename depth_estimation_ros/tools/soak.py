"""Hours in minutes: four cameras, bad frames, changing parameters; then everything must add up."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
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

from .demo import NODE, DemoError

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
GROWTH = 0.02
"""The share by which the node's memory may grow between the first quarter and the end."""

STARTUP = 120.0
SETTLE = 4.0
"""Seconds after the last image in which all of them must be accounted for."""


@dataclass
class Readings:
    """The node's process, read now and then."""

    rss_mb: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def read(self, pid: int) -> None:
        """Take one reading from /proc."""
        status = dict(line.split(':', 1) for line in
                      Path(f'/proc/{pid}/status').read_text().splitlines())
        self.rss_mb.append(int(status['VmRSS'].split()[0]) / 1024)
        self.threads.append(int(status['Threads']))
        self.handles.append(len(list(Path(f'/proc/{pid}/fd').iterdir())))


class Rig(Node):
    """Four cameras, a user of every depth, and an operator who cannot leave parameters alone."""

    def __init__(self, seed: int) -> None:
        super().__init__('soak')
        self.sent = dict.fromkeys(CAMERAS, 0)
        self.received = dict.fromkeys(CAMERAS, 0)
        self.accounts: dict[str, dict[str, str]] = {}
        self.refused = self.accepted = 0
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

    def start(self) -> list[Any]:
        """Let the cameras and the operator loose; return their timers."""
        timers = [self.create_timer(1 / rate, self._camera(name, height, width))
                  for name, (rate, height, width) in CAMERAS.items()]
        return [*timers, self.create_timer(CHANGE_EVERY, self._change)]

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
        parameter = Parameter(name, value=self._random.choice(CHANGES[name]))
        future = self._operator.call_async(
            SetParameters.Request(parameters=[parameter.to_parameter_msg()]))
        future.add_done_callback(self._note)

    def _note(self, future: Any) -> None:
        if future.result().results[0].successful:
            self.accepted += 1
        else:
            self.refused += 1

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.accounts[status.name.split(': ')[-1]] = {
                pair.key: pair.value for pair in status.values}


def run(seconds: float, model: str, seed: int) -> dict[str, Any]:
    """
    Soak the node and return the figures of report.json.

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
        timers = rig.start()
        for _ in tqdm(range(round(seconds)), unit='s', desc='soak'):
            _spin(rig, node, 1.0)
            readings.read(node.pid)
        for timer in timers:
            rig.destroy_timer(timer)
        _spin(rig, node, SETTLE)
        return _report(rig, readings)
    finally:
        node.send_signal(signal.SIGINT)
        node.wait(timeout=10)
        rclpy.try_shutdown()


def _spin(rig: Rig, node: subprocess.Popen[bytes], seconds: float,
          done: Any = lambda: False) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        if node.poll() is not None:
            raise DemoError(f'the node ended with code {node.returncode}')
        rclpy.spin_once(rig, timeout_sec=0.02)


def _report(rig: Rig, readings: Readings) -> dict[str, Any]:
    totals: dict[str, int] = {}
    for name in CAMERAS:
        for key, value in rig.accounts[name].items():
            if key in ('received', 'published') or key.startswith('dropped_'):
                totals[key] = totals.get(key, 0) + int(value)
    dropped = {key.removeprefix('dropped_'): value for key, value in totals.items()
               if key.startswith('dropped_')}
    first = readings.rss_mb[len(readings.rss_mb) // 4]
    return {
        'seconds': len(readings.rss_mb), 'sent': sum(rig.sent.values()),
        'frames_in': totals['received'], 'frames_out': totals['published'], 'dropped': dropped,
        'unaccounted': totals['received'] - totals['published'] - sum(dropped.values()),
        'depth_received': dict(rig.received), 'changes_accepted': rig.accepted,
        'changes_refused': rig.refused, 'rss_mb_start': round(first, 1),
        'rss_mb_end': round(readings.rss_mb[-1], 1),
        'growth': round(readings.rss_mb[-1] / first - 1, 4),
        'threads': [min(readings.threads), max(readings.threads)],
        'file_handles': [min(readings.handles), max(readings.handles)]}


def main() -> int:
    """Run from the command line; the exit code says whether everything added up."""
    parser = argparse.ArgumentParser(prog='soak', description=__doc__)
    parser.add_argument('--seconds', type=float, default=600.0)
    parser.add_argument('--model', default='demo', help='hub id, folder, or demo')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--output', type=Path, default=Path('soak_output'))
    options = parser.parse_args()
    try:
        report = run(options.seconds, options.model, options.seed)
    except DemoError as error:
        print(f'soak: {error}', file=sys.stderr)
        return 1
    options.output.mkdir(exist_ok=True)
    text = json.dumps(report, indent=2)
    (options.output / 'report.json').write_text(text + '\n')
    print(text)
    if report['unaccounted'] or report['growth'] > GROWTH:
        print('soak: failed: a frame is unaccounted for' if report['unaccounted'] else
              f'soak: failed: memory grew by {report["growth"]:.1%}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
