# SPDX-License-Identifier: Apache-2.0
"""config/rerun_blueprint.py with rerun-sdk: the layout is written, and read again by rerun."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.recordings import Writer

from .recordings.bags import START, TYPES, Said, header, image

SDK = importlib.util.find_spec('rerun') is not None
CLOUD, DIAGNOSTICS = 'sensor_msgs/msg/PointCloud2', 'diagnostic_msgs/msg/DiagnosticArray'
needs_rerun = pytest.mark.skipif(not SDK, reason='rerun-sdk is not installed: 490 MB '
                                 '(make extras)')


def rerun(*arguments: str | Path) -> str:
    """Run Rerun's command line, which comes with the SDK; return what it prints."""
    ran = subprocess.run([sys.executable, '-m', 'rerun', *map(str, arguments)], text=True,
                         capture_output=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture(scope='module')
def script(root: Path) -> Path:
    return root / 'config' / 'rerun_blueprint.py'


def written(script: Path, path: Path, *arguments: str) -> str:
    """Write the layout as its users do; return what Rerun reads of it."""
    subprocess.run([sys.executable, script, path, *arguments], check=True, timeout=120)
    rerun('rrd', 'verify', path)
    return rerun('rrd', 'print', '-vvv', path)


@needs_rerun
def test_the_layout_is_read_again_with_every_topic(script: Path, tmp_path: Path) -> None:
    read = written(script, tmp_path / 'depth.rbl')
    assert 'Blueprint' in read and '"depth_estimation_ros"' in read
    for part in ('/depth/preview', '/depth/image_rect', '/depth/points', '/diagnostics',
                 'camera_optical_frame'):
        assert part in read, part
    assert 'cam_optical' in written(script, tmp_path / 'other.rbl', 'cam_optical')


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A recording of what the node sends of one frame."""
    depth, preview = np.full((48, 64), 2.0, np.float32), np.zeros((48, 64, 3), np.uint8)
    fields = [TYPES.types['sensor_msgs/msg/PointField'](name, 4 * place, 7, 1)
              for place, name in enumerate('xyz')]
    said = [image(depth, '32FC1', START, topic='/depth/image_rect'),
            image(preview, 'bgr8', START, topic='/depth/preview'),
            Said('/depth/points', CLOUD, START, TYPES.types[CLOUD](
                header(START), 1, 4, fields, False, 16, 64, np.ones(64, np.uint8), False)),
            Said('/diagnostics', DIAGNOSTICS, START, TYPES.types[DIAGNOSTICS](header(START), []))]
    with Writer(tmp_path / 'bag') as writer:
        for each in said:
            writer.add_topic(each.topic, each.type)
            writer.write(each.topic, each.time, each.data)
    return tmp_path / 'bag' / 'bag.mcap'


@needs_rerun
def test_rerun_makes_of_our_topics_what_the_layout_shows(bag: Path, tmp_path: Path) -> None:
    rerun('mcap', 'convert', bag, '-o', tmp_path / 'bag.rrd', '--application-id', 'ours')
    read = rerun('rrd', 'print', tmp_path / 'bag.rrd')
    for topic, kind in (('/depth/image_rect', 'DepthImage:'), ('/depth/preview', 'Image:'),
                        ('/depth/points', 'Points3D:'),
                        ('/diagnostics', 'diagnostic_msgs.msg.DiagnosticArray:message')):
        assert re.search(rf' - {topic} - data columns: \[.*\b{re.escape(kind)}', read), topic


@needs_rerun
def test_without_a_path_it_says_how_it_is_called(script: Path) -> None:
    ran = subprocess.run([sys.executable, script], text=True, capture_output=True, timeout=120)
    assert ran.returncode == 1 and 'usage: ' in ran.stderr and 'OUT.rbl' in ran.stderr


def test_its_commands_name_its_application(script: Path) -> None:
    text = script.read_text()
    named = re.search(r"^APPLICATION = '(\w+)'$", text, re.MULTILINE)
    assert named is not None and f'--application-id {named.group(1)}' in text
