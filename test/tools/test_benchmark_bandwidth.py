# SPDX-License-Identifier: Apache-2.0
"""The table of what the outputs weigh on the wire."""

from __future__ import annotations

import pytest

from depth_estimation_ros.recordings import find_cameras, open_recording, shots
from depth_estimation_ros.resources import share_folder
from depth_estimation_ros.ros.outputs import OUTPUTS
from depth_estimation_ros.tools.benchmark import bandwidth, tables
from depth_estimation_ros.tools.camera import moment_of

ENVELOPE = 300
"""Bytes of a message that are not its pixels, points or ranges, at most."""


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(bandwidth, 'EVERY', 150)


def test_every_output_of_metres_has_a_row():
    measured = {topic for topic, _, _ in bandwidth.VARIANTS}
    assert measured == {kind.topic for kind in OUTPUTS if kind.takes_metres}


def test_the_bytes_are_those_of_the_payload_and_little_more(few):
    sizes = ['160x120', '320x180']
    rows = {(row['output'], row['format']): row for row in bandwidth.measure_bandwidth(sizes)}
    for size, pixels in (('160x120', 160 * 120), ('320x180', 320 * 180)):
        for key, payload in {
                ('image', 'rgb8'): 3, ('depth/image_rect', '32FC1'): 4,
                ('depth/image_rect', '16UC1'): 2, ('depth/preview', 'bgr8'): 3,
                ('depth/confidence', '32FC1'): 4, ('depth/points', ''): 16,
                ('depth/points', 'stride 4'): 1,
                ('depth/points', 'stride 4, color'): 2}.items():
            row = rows[key]
            assert 0 < row[f'{size}_bytes'] - pixels * payload < ENVELOPE, key
            assert row[f'{size}_ms'] >= 0
            assert row[f'{size}_mb_s'] == pytest.approx(15e-6 * row[f'{size}_bytes'], abs=6e-4)
        png, rvl = (rows['depth/image_rect/compressedDepth', form] for form in ('png', 'rvl'))
        assert pixels / 20 < png[f'{size}_bytes'] < rvl[f'{size}_bytes'] < 2 * pixels
        kept = rows[bandwidth.KEPT]
        assert pixels / 20 < kept[f'{size}_bytes'] < rows['depth/image_rect', '32FC1'][
            f'{size}_bytes'] + 5000
        assert rows['depth/scan', ''][f'{size}_bytes'] > 4 * int(size.split('x')[0])
    assert all(set(tables.bandwidth(sizes)) == set(row) for row in rows.values())


def test_a_part_of_the_image_keeps_its_rays(few):
    clip = open_recording(str(share_folder() / 'clips' / 'demo_room'))
    whole = moment_of(next(shots(clip, find_cameras(clip)[0]))).info
    assert whole is not None
    image, info = next(bandwidth._frames(1280, 720))
    assert image.shape == (720, 1280, 3) and (info.width, info.height) == (1280, 720)
    row, column = 200, 101  # of the whole image, which is cut by 60 rows above and below
    ray = ((column - whole.k[2]) / whole.k[0], (row - whole.k[5]) / whole.k[4])
    at = (2 * (column + 0.5) - 0.5, 2 * (row - 60 + 0.5) - 0.5)
    assert ((at[0] - info.p[2]) / info.p[0], (at[1] - info.p[6]) / info.p[5]) == pytest.approx(ray)
