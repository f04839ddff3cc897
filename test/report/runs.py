# SPDX-License-Identifier: Apache-2.0
"""Recordings with depth whose figures are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml

from ..recordings.bags import PERIOD, START, Said, image, write_rosbag2

SHAPE = (96, 128)
IMAGE, DEPTH, TRUTH = '/cam/image_raw', '/cam/depth/image_rect', '/cam/aligned_depth/image_raw'
HOSTILE = '</script><img onerror=alert(1) src=x>'

ACCOUNT = {'received': 12, 'published': 10, 'dropped': {'undecodable': 2},
           'explanations': {'undecodable': f'cut off {HOSTILE}'}}


def depth_map(number: int) -> np.ndarray:
    """From 1 m at the left to 5 m at the right; ``number`` rows are unknown and one is beyond."""
    depth = np.tile(np.linspace(1, 5, SHAPE[1], dtype=np.float32), (SHAPE[0], 1))
    depth[:number] = np.nan
    depth[-1] = np.inf
    return depth


def drive(count: int = 10, delay: int = 0, truth: bool = True) -> list[Said]:
    """A camera, its depth, and ground truth that frame 3 is 20 % off, the others 10 %."""
    rng = np.random.default_rng(1)
    said = []
    for number in range(count):
        time, depth = START + number * PERIOD, depth_map(number)
        said.append(image(rng.integers(0, 256, (*SHAPE, 3), np.uint8), 'bgr8', time, topic=IMAGE))
        one = image(depth, '32FC1', time, topic=DEPTH)
        said.append(one._replace(time=time + delay))
        if truth:
            true = depth_map(0) / (1.2 if number == 3 else 1.1)
            said.append(image(true.astype(np.float32), '32FC1', time, topic=TRUTH))
    return sorted(said, key=lambda one: one.time)


def processed(path: Path, said: list[Said]) -> Path:
    """A directory as process_bag leaves it."""
    file = write_rosbag2(path, said) / 'metadata.yaml'
    found = yaml.safe_load(file.read_text())
    found['rosbag2_bagfile_information']['custom_data'] = {
        'depth_estimation_ros': json.dumps({IMAGE: ACCOUNT})}
    file.write_text(yaml.safe_dump(found))
    return path
