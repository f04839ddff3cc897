# SPDX-License-Identifier: Apache-2.0
"""What the demo asks of its node for an input, and what it refuses before it starts one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from depth_estimation_ros.core.mount import Mount
from depth_estimation_ros.recordings import Camera
from depth_estimation_ros.ros.settings import parameters
from depth_estimation_ros.tools import demo
from depth_estimation_ros.tools.demo import DRIVE
from training.clip import drive
from training.world import World


def test_the_drive_stands_as_it_was_rendered():
    world = World((8.0, 6.0, 2.6), (), (), (), (0.0, 0.0, 0.0), False)
    cameras = [drive(world, phase / 60) for phase in range(60)]
    for value, told in ((np.mean([camera.position[2] for camera in cameras]),
                         DRIVE.height),
                        (np.mean([camera.pitch for camera in cameras]), DRIVE.pitch),
                        (np.mean([camera.roll for camera in cameras]), DRIVE.roll)):
        assert told == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize(('arguments', 'info', 'mount', 'silent'), [
    ([], 'info', DRIVE, []),
    (['--camera-height', '0.4', '--pitch', '-0.1'], 'info', Mount(0.4, -0.1), []),
    (['--input', 'bag'], 'info', None, ['depth/scan']),
    (['--input', 'bag', '--camera-height', '0.4', '--roll', '0.1'], 'info',
     Mount(0.4, 0.0, 0.1), []),
    (['--input', 'bag', '--camera-height', '0.4'], None, Mount(0.4),
     ['depth/camera_info', 'depth/points', 'depth/scan'])])
def test_points_and_scan_are_asked_for_where_they_can_be_had(arguments, info, mount, silent):
    found = demo._mount(demo._parser().parse_args(arguments))
    assert found == mount
    assert list(demo._silent(Camera('image', info), found)) == silent


def test_the_nodes_parameters_are_those_that_it_has():
    given = demo._parameters('demo', Mount(2, -0.1))
    assert given[::2] == ['-p'] * 6
    values = dict(text.split(':=') for text in given[1::2])
    assert values.keys() <= parameters().keys()
    assert (values['scan.camera_height'], values['scan.pitch']) == ('2.0', '-0.1')


def test_a_source_that_is_none_is_named(tmp_path):
    ran = subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.tools.demo', '--input', str(tmp_path)],
        capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert str(tmp_path) in ran.stderr and 'Traceback' not in ran.stderr


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'thesis.txt').write_text('chapter one')
    ran = subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.tools.demo', '--output', str(tmp_path)],
        capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert 'thesis.txt' in ran.stderr and 'Traceback' not in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bag', 'thesis.txt']
