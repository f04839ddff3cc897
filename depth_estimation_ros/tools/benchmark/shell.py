# SPDX-License-Identifier: Apache-2.0
"""What the ROS shell costs a frame: the real camera and worker around an instant network."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import rclpy
import torch
from rclpy.lifecycle import LifecycleNode

from ...core.families.base import Quantity
from ...core.frame import Frame
from ...core.maps import Maps
from ...ros import codec
from ...ros.camera import SECOND, Camera
from ...ros.frame_statistics import FrameStatistics
from ...ros.model import Wait
from ...ros.pipeline import Pipeline
from ...ros.settings import Settings
from ...ros.worker import Worker
from . import processes

METRONOME = 'depth_estimation_ros.tools.benchmark.metronome'
TARGET_MS = {'640x480': 6.0, '1920x1080': 25.0}
STAGES = ('wait', 'decode', 'publish')
WARM_UP = 10
"""Frames at the start that do not count."""


class InstantEstimator:
    """Stands for the network: the same depth for every image, some of it beyond the range."""

    range = (0.001, 10.0)
    overlaps, domain = False, ''

    def __init__(self, width: int, height: int) -> None:
        self._depth = np.linspace(0, 12, width * height, dtype=np.float32).reshape(height, width)

    def adopt(self) -> bool:
        """Nothing is loaded beside it."""
        return False

    def submit(self, images: list[Frame], *, flip: bool) -> Wait:
        """Return what gives a copy for each image."""
        return lambda: [Maps(torch.from_numpy(self._depth.copy())) for _ in images]

    def quantity_of(self, image: Frame) -> Quantity:
        """Give metres."""
        return Quantity.METRES

    def network_size(self, image: Frame) -> tuple[int, int]:
        """Take any image."""
        return 384, 512


class StageTimes(FrameStatistics):
    """Keeps the stages of every published frame."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[dict[str, float]] = []

    def publish(self, stages: dict[str, float], unknown: float = 0.0) -> None:
        """Keep a frame's stages."""
        self.frames.append(stages)


def measure_shell(sizes: list[str], *, frames: int, rate: float) -> list[dict[str, Any]]:
    """
    Measure the shell's own cost, from a message received to its depth and preview published.

    :param sizes: of the image, as 640x480.
    :param frames: how many to measure at each size.
    :param rate: of the camera, frames a second.
    :return: a row a size with medians in milliseconds.
    """
    os.environ.update(processes.ros_environment())
    rclpy.init(args=[])
    try:
        return [_row(size, _serve(size, frames + WARM_UP, rate)[WARM_UP:]) for size in sizes]
    finally:
        rclpy.try_shutdown()


def _serve(size: str, frames: int, rate: float) -> list[dict[str, float]]:
    width, height = (int(side) for side in size.split('x'))
    node = LifecycleNode(f'shell_{size}')
    worker = Worker(Pipeline(
        InstantEstimator(width, height), codec.decode, settings=Settings(),
        now=lambda: node.get_clock().now().nanoseconds * SECOND,
        warn=lambda kind, text: print(f'{kind}: {text}')), fail=print)
    camera = Camera(node, '', transport='raw', deliver=worker.deliver)
    camera.statistics = times = StageTimes()
    node.trigger_configure()
    node.trigger_activate()
    camera.subscribe()
    source = processes.start_module(
        METRONOME, '--size', size, '--rate', str(rate), '--frames', str(frames),
        '--listen', 'depth/image_rect', 'depth/preview')
    end = time.monotonic() + frames / rate + 60
    while source.poll() is None and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
    processes.end(source)
    worker.stop()
    camera.close()
    node.destroy_node()
    return times.frames


def _row(size: str, frames: list[dict[str, float]]) -> dict[str, Any]:
    if not frames:
        raise RuntimeError(f'the shell published no frame of {size}: did the camera start?')
    costs = [1e3 * sum(stages[stage] for stage in STAGES) for stages in frames]
    return {'size': size, 'frames': len(frames), 'shell_ms': round(float(np.median(costs)), 2),
            'p99_ms': round(float(np.percentile(costs, 99)), 2),
            **{f'{stage}_ms': round(float(np.median([1e3 * frame[stage] for frame in frames])), 2)
               for stage in STAGES},
            'target_ms': TARGET_MS.get(size)}
