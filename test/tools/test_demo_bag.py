# SPDX-License-Identifier: Apache-2.0
"""The demo's bag opens elsewhere: through mcap-ros2-support, and in Rerun where that is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from depth_estimation_ros.recordings import open_recording

DRAWN = {
    '/image': 'Image:buffer', '/depth/image_rect': 'DepthImage:buffer',
    '/depth/preview': 'Image:buffer', '/depth/points': 'Points3D:positions',
    '/camera_info': 'Pinhole:image_from_camera', '/tf_static': 'Transform3D:parent_frame',
}
"""What Rerun makes of the topics; it has no picture of a scan, nor of compressedDepth."""


@pytest.mark.slow
def test_mcap_ros2_support_decodes_every_message_of_the_bag(output):
    counts: dict[str, int] = {}
    with (output / 'bag' / 'bag.mcap').open('rb') as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        for _, channel, _, decoded in reader.iter_decoded_messages():
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
            if channel.topic == '/depth/points':
                assert len(decoded.data) == decoded.row_step * decoded.height
            if channel.topic == '/tf_static':
                assert [each.child_frame_id.rpartition('_')[2] for each in
                        decoded.transforms] == ['frame', 'level']
    channels = open_recording(output / 'bag').channels
    assert counts == {topic: channel.count for topic, channel in channels.items()}


@pytest.mark.slow
@pytest.mark.skipif(find_spec('rerun') is None, reason='rerun-sdk is not installed: 490 MB '
                    '(make extras)')
def test_rerun_finds_no_fault_in_the_bag_and_shows_it(output, tmp_path):
    def rerun(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, '-m', 'rerun', *arguments], capture_output=True, text=True,
            timeout=120, env={**os.environ, 'HOME': str(tmp_path), 'NO_COLOR': '1'})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    bag, made = str(output / 'bag' / 'bag.mcap'), str(tmp_path / 'bag.rrd')
    checked = rerun('mcap', 'check', '--full', bag)
    topics = open_recording(output / 'bag').topics
    rows = re.findall(r'^(\w+) +\d+ +\d+ +(/\S+)', checked, re.MULTILINE)
    assert {topic: status for status, topic in rows} == dict.fromkeys(topics, 'ok'), checked
    rerun('mcap', 'convert', '--disable-raw-fallback', bag, '-o', made)
    rerun('rrd', 'verify', made)
    drawn = rerun('rrd', 'print', made)
    for topic, kind in DRAWN.items():
        assert re.search(rf' - {topic} - data columns: .*\b{kind}', drawn), topic
