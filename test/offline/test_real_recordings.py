# SPDX-License-Identifier: Apache-2.0
"""The demo's clip, and a camera's recording of one's own, through both commands."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from depth_estimation_ros.core.evaluation.metrics import depth_metrics
from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.estimate import EstimateOptions, estimate
from depth_estimation_ros.offline.network import NetworkOptions
from depth_estimation_ros.offline.process import process_bag
from depth_estimation_ros.recordings import (
    Writer,
    find_cameras,
    metres,
    open_recording,
    shots,
    stamp_of,
)
from depth_estimation_ros.resources import share_folder

from .test_process_bag import decoded, raw

NETWORK = NetworkOptions(model='demo', device='cpu', backend='torch')
RECORDS = 24
"""Of the clip: each frame has three."""


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of the demo's drive."""
    recording, path = open_recording(share_folder() / 'clips' / 'demo_room'), (
        tmp_path_factory.mktemp('clip') / 'drive')
    with Writer(path) as writer:
        for topic, channel in recording.channels.items():
            writer.add_topic(topic, channel.type, definition=channel.definition)
        for record in islice(recording.records(), RECORDS):
            writer.write(record.topic, record.time, record.data)
    return path


def test_the_clip_becomes_a_bag_with_depth_near_its_ground_truth(tmp_path, clip):
    accounts, warnings = process_bag(str(clip), tmp_path / 'out', ProcessOptions(preview=True),
                                     NETWORK, progress=tqdm(disable=True))
    assert not warnings and [str(account) for account in accounts.values()] == [
        '8 frames, 8 with depth']
    truths = {stamp_of(shot.image.message): metres(shot.truth.message) for shot in shots(
        open_recording(clip), find_cameras(open_recording(clip))[0]) if shot.truth is not None}
    depths = decoded(tmp_path / 'out')['/depth/image_rect']
    assert len(depths) == len(truths) == 8
    for _, message in depths:
        depth = np.frombuffer(bytes(message.data), '<f4').reshape(message.height, message.width)
        assert depth_metrics(depth[::4, ::4], truths[stamp_of(message)]).abs_rel < 0.1


def test_the_clip_becomes_files(tmp_path, clip):
    estimate([str(clip)], tmp_path / 'out', EstimateOptions(
        formats=('png', 'npy'), preview=True, cloud='ply', video=True), NETWORK,
        progress=tqdm(disable=True))
    depth = np.load(tmp_path / 'out' / 'npy' / '000003.npy')
    picture = np.asarray(Image.open(tmp_path / 'out' / 'png' / '000003.png'))
    finite = np.isfinite(depth)
    assert finite.mean() > 0.9 and np.abs(picture / 1000 - depth)[finite].max() < 0.000501
    video = cv2.VideoCapture(str(tmp_path / 'out' / 'video.mp4'))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)) == (8, 15)


@pytest.mark.skipif('DEPTH_TEST_RECORDING' not in os.environ, reason='DEPTH_TEST_RECORDING names '
                    'no recording of a camera')
def test_a_real_recording_goes_through_both(tmp_path):
    source = os.environ['DEPTH_TEST_RECORDING']
    accounts, _ = process_bag(source, tmp_path / 'out', ProcessOptions(part=1), NETWORK,
                              progress=tqdm(disable=True))
    recording = open_recording(source)
    assert raw(tmp_path / 'out', set(recording.topics)) == raw(Path(source))
    counted = sum(recording.count(topic) for topic in accounts)
    assert sum(account.published for account in accounts.values()) == counted > 0
    estimate([source], tmp_path / 'files', EstimateOptions(), NETWORK,
             progress=tqdm(disable=True))
    assert len(list((tmp_path / 'files' / 'png').iterdir())) == recording.count(
        find_cameras(recording)[0].image)
