# SPDX-License-Identifier: Apache-2.0
"""What is shown in Rerun is the depth that is written, at the capture times."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from depth_estimation_ros.offline.view import View
from depth_estimation_ros.recordings import RecordingError

from .conftest import frames

needs_rerun = pytest.mark.skipif(find_spec('rerun') is None, reason='rerun-sdk is not installed: '
                                 '490 MB (make extras)')


def printed(path: Path) -> str:
    done = subprocess.run([sys.executable, '-m', 'rerun', 'rrd', 'print', '-vvv', str(path)],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_rerun
def test_every_frame_is_in_the_file(tmp_path, bag, estimated):
    estimated(bag(frames(5)), tmp_path / 'out2', view_file=tmp_path / 'a' / 'b.rrd')
    text = printed(tmp_path / 'a' / 'b.rrd')
    for entity, kind in (('/camera/depth', 'DepthImage'), ('/camera/image', 'EncodedImage'),
                         ('/camera', 'Pinhole')):
        chunks = re.findall(rf'Chunk\([^)]*\) with (\d+) rows.* - {entity} ', text)
        assert sum(map(int, chunks)) == 5, text[:3000]
        assert kind in text
    assert len(list((tmp_path / 'out2' / 'png').iterdir())) == 5


@needs_rerun
def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(RecordingError, match='cannot be written'):
        View(tmp_path / 'file' / 'a.rrd')


def test_without_rerun_the_remedy_is_named(tmp_path, monkeypatch, bag, estimated):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(RecordingError, match='pip install rerun-sdk'):
        estimated(bag(frames(1)), tmp_path / 'out', view_file=tmp_path / 'a.rrd')
