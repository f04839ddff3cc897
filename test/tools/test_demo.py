# SPDX-License-Identifier: Apache-2.0
"""The demo end to end: what was received over ROS is the model's own depth, in metres."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.evaluation.metrics import depth_metrics
from depth_estimation_ros.core.families.zoedepth.transforms import Transforms
from depth_estimation_ros.recordings import (
    find_cameras,
    metres,
    open_recording,
    shots,
    stamp_of,
)
from depth_estimation_ros.resources import model_folder, share_folder
from depth_estimation_ros.ros import codec
from depth_estimation_ros.tools.camera import Moment, moment_of
from depth_estimation_ros.tools.demo import DRIVE
from depth_estimation_ros.tools.geometry_picture import level_points
from depth_estimation_ros.tools.received import matched
from depth_estimation_ros.tools.recorder import OUTPUTS, TAKEN, TRUTH

from .conftest import FRAMES, RATE

TOLERANCE = 0.01
"""By how much AbsRel and delta1 may differ between the messages and the model alone."""

Depths = dict[bytes, NDArray[np.float32]]
"""Depth in metres of each frame, by the bytes of its ground truth, which travels with it."""


@dataclass(frozen=True)
class Accuracy:
    """The mean over frames of two errors against ground truth."""

    abs_rel: float
    delta1: float

    def near(self, other: Accuracy) -> bool:
        return (abs(self.abs_rel - other.abs_rel) <= TOLERANCE
                and abs(self.delta1 - other.delta1) <= TOLERANCE)


@pytest.fixture(scope='module')
def drive() -> list[Moment]:
    clip = open_recording(share_folder() / 'clips' / 'demo_room')
    return [moment_of(shot) for shot in islice(shots(clip, find_cameras(clip)[0]), FRAMES)]


@pytest.fixture(scope='module')
def received(output: Path) -> Depths:
    """The depth messages of the recorded bag, matched with their ground truth by stamp."""
    topics: dict[str, dict[int, Any]] = {}
    for record in open_recording(output / 'bag').records(
            ('/depth/image_rect', '/ground_truth/depth')):
        topics.setdefault(record.topic, {})[stamp_of(record.message)] = record.message
    truths = topics['/ground_truth/depth']
    return {bytes(truths[stamp].data): metres(depth)
            for stamp, depth in topics['/depth/image_rect'].items()}


@pytest.fixture(scope='module')
def offline(drive: list[Moment]) -> Depths:
    return estimated(drive)


def estimated(drive: list[Moment], change: Callable[[np.ndarray], np.ndarray] = lambda x: x,
              ) -> Depths:
    """The depth of the core alone, of images changed by ``change``."""
    model = DepthEstimator(EstimatorOptions(
        model=model_folder('demo'), device='cpu', backend='torch'))
    return {bytes(shot.truth.data): model.estimate([change(codec.decode(shot.image))])[0]
            for shot in drive if shot.truth is not None}


def accuracy(depths: Depths, drive: list[Moment]) -> Accuracy:
    errors = [depth_metrics(*matched(depths[bytes(shot.truth.data)], metres(shot.truth)))
              for shot in drive if shot.truth is not None and bytes(shot.truth.data) in depths]
    return Accuracy(float(np.mean([error.abs_rel for error in errors])),
                    float(np.mean([error.delta1 for error in errors])))


def difference(depths: Depths, offline: Depths) -> float:
    """The largest mean relative difference of a frame's depth from the core's own."""
    return max(float(np.mean(np.abs(depth - offline[truth]) / offline[truth]))
               for truth, depth in depths.items())


def holds(depths: Depths, offline: Depths, drive: list[Moment]) -> bool:
    """Say whether depth is the model's own, in metres: the criterion of these tests."""
    return (accuracy(depths, drive).near(accuracy(offline, drive))
            and difference(depths, offline) < 1e-3)


def test_the_received_depth_is_the_models_own(received, offline, drive):
    assert len(received) > FRAMES / 2
    assert holds(received, offline, drive), (accuracy(received, drive), accuracy(offline, drive),
                                             difference(received, offline))


def test_the_report_says_what_was_received(output, received, drive):
    report = json.loads((output / 'report.json').read_text())
    assert report['frames_in'] == FRAMES
    assert report['frames_out'] + sum(report['dropped'].values()) == FRAMES
    assert report['node_exit_code'] == 0
    stated = Accuracy(report['abs_rel'], report['delta1'])
    assert stated.near(accuracy(received, drive))
    assert 0.1 < report['depth_m']['min'] < report['depth_m']['max'] < 20
    assert (output / 'preview.png').stat().st_size > 10_000
    assert 'Histogram of depth' in (output / 'report.html').read_text()


def test_every_output_was_published_and_its_rate_reported(output):
    report = json.loads((output / 'report.json').read_text())
    assert report['outputs'].keys() == OUTPUTS.keys()
    for topic, rate in report['outputs'].items():
        assert report['frames_out'] - 2 <= rate['messages'] <= FRAMES, topic
        assert rate['hz'] == round(rate['messages'] * RATE / FRAMES, 1) and rate['mb_s'] > 0
    assert report['outputs']['depth/image_rect']['messages'] == report['frames_out']


def test_the_bag_holds_what_was_taken_and_made_with_the_offered_qos(output):
    bag = open_recording(output / 'bag')
    kinds = {f'/{topic}': kind.__name__ for topic, kind in (TAKEN | OUTPUTS | TRUTH).items()}
    assert {topic: kind.rpartition('/')[2] for topic, kind in bag.topics.items()} == {
        **kinds, '/tf_static': 'TFMessage'}
    qos = {topic: yaml.safe_load(channel.qos)[0] for topic, channel in bag.channels.items()}
    assert {topic for topic, profile in qos.items() if profile['reliability'] == 'best_effort'
            } == {'/image', '/camera_info'}
    assert {topic for topic, profile in qos.items()
            if profile['durability'] == 'transient_local'} == {'/tf_static'}


def test_the_points_and_the_scan_are_those_of_the_drives_camera(output):
    bag = open_recording(output / 'bag')
    latest = {record.topic: record.message for record in bag.records(
        ('/depth/points', '/depth/scan', '/tf_static'))}
    cloud, scan = latest['/depth/points'], latest['/depth/scan']
    floor, level = latest['/tf_static'].transforms
    assert (cloud.height, cloud.width) == (120, 160)
    assert cloud.header.frame_id == floor.child_frame_id == level.header.frame_id
    assert scan.header.frame_id == level.child_frame_id
    points = level_points(cloud, DRIVE)
    lowest = np.nanpercentile(points[:, 2], 2)
    assert lowest == pytest.approx(-floor.transform.translation.z, abs=0.15)
    assert np.isfinite(scan.ranges).mean() > 0.8 and np.nanmin(scan.ranges) > 0.8


@pytest.mark.slow
def test_pictures_without_calibration_are_served_and_what_lacks_is_named(tmp_path, drive):
    for number, shot in enumerate(drive[::10]):
        cv2.imwrite(str(tmp_path / f'{number}.png'), codec.decode(shot.image)[..., ::-1])
    ran = subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.tools.demo', '--input', str(tmp_path),
         '--frames', '6', '--rate', '2', '--output', str(tmp_path / 'out')], capture_output=True,
        text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert report['frames_out'] + sum(report['dropped'].values()) == 6
    silent = {topic for topic, rate in report['outputs'].items() if 'silent_because' in rate}
    assert silent == {'depth/camera_info', 'depth/points', 'depth/scan'}
    assert 'none: the input has no camera_info' in ran.stdout
    assert report['outputs']['depth/preview']['messages']
    assert '/tf_static' not in open_recording(tmp_path / 'out' / 'bag').topics
    assert 'camera_info' not in ran.stderr and (tmp_path / 'out' / 'preview.png').exists()


def broken_crop(monkeypatch: pytest.MonkeyPatch, drive: list[Moment]) -> Depths:
    """Depth of the padded image, squeezed into the image's size instead of cropped."""
    def uncropped(transforms, depth, height, width):
        return torch_resize(depth[None, None], (height, width), mode='bicubic')[0, 0]

    from torch.nn.functional import interpolate as torch_resize
    monkeypatch.setattr(Transforms, 'to_depth', uncropped)
    return estimated(drive)


def planes_for_pixels(rgb: np.ndarray) -> np.ndarray:
    """Read interleaved colours as if they were one plane a colour."""
    return np.ascontiguousarray(rgb.reshape(3, *rgb.shape[:2]).transpose(1, 2, 0))


MISTAKES: dict[str, Callable[[pytest.MonkeyPatch, list[Moment]], Depths]] = {
    'swapped channels': lambda _, drive: estimated(
        drive, lambda rgb: np.ascontiguousarray(rgb[:, :, ::-1])),
    'un-cropped padding': broken_crop,
    'millimetres for metres': lambda _, drive: {
        truth: depth * 1000 for truth, depth in estimated(drive).items()},
    'wrong encoding': lambda _, drive: estimated(drive, planes_for_pixels),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_each_mistake_of_the_chain_would_be_found(mistake, monkeypatch, offline, drive):
    assert not holds(MISTAKES[mistake](monkeypatch, drive), offline, drive)
