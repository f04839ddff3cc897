# SPDX-License-Identifier: Apache-2.0
"""Bad input and bad places: one line that says what and where, code 1, nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pytest

from depth_estimation_ros.core.estimator import DepthEstimator
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.offline.partial import Partial
from depth_estimation_ros.recordings import RecordingError

from ..recordings.bags import START, TYPES, Said, write_rosbag2
from .conftest import SHAPE, frames

BLANK = np.zeros(SHAPE, np.uint8)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command in this process: most of a start is the import of torch."""
    def run(tool: str, *args: Any) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        code = import_module(f'depth_estimation_ros.tools.{tool}').main()
        return subprocess.CompletedProcess([], code, *capfd.readouterr())
    return run


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert all(word in lines[0] for word in words), lines[0]


def test_a_bag_without_images_is_refused_with_what_it_has(tmp_path, run):
    words = Said('/chatter', 'std_msgs/msg/String', START,
                 TYPES.types['std_msgs/msg/String']('hello'))
    source = write_rosbag2(tmp_path / 'in', [words])
    one_line(run('process_bag', source, tmp_path / 'out'), 'no colour image topic', '/chatter')
    one_line(run('estimate', source, '--output', tmp_path / 'out'), '/chatter')
    assert [path.name for path in tmp_path.iterdir()] == ['in']


def test_an_empty_bag_is_refused(tmp_path, run):
    source = write_rosbag2(tmp_path / 'in', [])
    one_line(run('process_bag', source, tmp_path / 'out'), 'no topic at all')
    assert [path.name for path in tmp_path.iterdir()] == ['in']


def test_an_output_that_exists_stays_as_it_is(tmp_path, run):
    source = write_rosbag2(tmp_path / 'in', frames(2))
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine').write_text('mine')
    one_line(run('process_bag', source, tmp_path / 'out', '--model', 'demo'), 'exists')
    one_line(run('estimate', source, '--output', tmp_path / 'out'), 'exists', '--overwrite')
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['mine']


def test_a_model_that_is_not_there_leaves_nothing(tmp_path, run):
    source = write_rosbag2(tmp_path / 'in', frames(2))
    one_line(run('process_bag', source, tmp_path / 'out', '--model', tmp_path / 'none',
                 '--device', 'cpu'), str(tmp_path / 'none'))
    assert [path.name for path in tmp_path.iterdir()] == ['in']


AS_NOBODY = """
import os, sys
from depth_estimation_ros.tools import estimate, process_bag
os.setuid(65534)
source, place = sys.argv[1:]
sys.argv[1:] = [source, place]
codes = [process_bag.main()]
sys.argv[1:] = [source, '--output', place]
sys.exit([*codes, estimate.main()] != [1, 1])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')
def test_a_place_without_the_right_to_write():
    with TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        source = write_rosbag2(Path(folder) / 'in', frames(2))
        Path(folder).chmod(0o755)
        place = Path(folder) / 'out'
        done = subprocess.run([sys.executable, '-c', AS_NOBODY, str(source), str(place)],
                              capture_output=True, text=True, timeout=300, check=False)
        lines = done.stderr.splitlines()
        assert done.returncode == 0 and len(lines) == 2, done.stderr
        assert all(str(place) in line and 'Permission denied' in line for line in lines)
        assert not place.exists()


@pytest.mark.parametrize(('tool', 'option', 'value'), [
    ('process_bag', '--part', '0'), ('process_bag', '--preview-far', 'nan'),
    ('estimate', '--fov', '180'), ('estimate', '--batch', '-1')])
def test_a_value_that_makes_no_sense_is_a_wrong_use(run, capfd, tool, option, value):
    with pytest.raises(SystemExit) as ended:
        run(tool, 'in', *['out'][:tool == 'process_bag'], option, value)
    assert ended.value.code == 2 and f'argument {option}: ' in capfd.readouterr().err


def test_a_place_that_is_none(tmp_path, run):
    source = write_rosbag2(tmp_path / 'in', frames(2))
    one_line(run('process_bag', source, tmp_path / 'no' / 'where'), 'No such file or directory')
    (tmp_path / 'file').touch()
    one_line(run('estimate', source, '--output', tmp_path / 'file' / 'out'), 'cannot be written')


@pytest.fixture
def full() -> Iterator[None]:
    """No file can be larger than 30 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rosbag2(tmp_path / 'in', frames(30))


OUTPUTS = {'process_bag': [], 'estimate': ['--depth', 'npz', '--depth', 'npy'],
           'estimate, video': ['--video', '--depth', 'png']}


@pytest.mark.parametrize('command', OUTPUTS)
def test_a_full_disk_leaves_nothing_half_written(tmp_path, run, checkpoint, source, full, command):
    tool = command.partition(',')[0]
    where = [tmp_path / 'out'] if tool == 'process_bag' else ['--output', tmp_path / 'out']
    one_line(run(tool, source, *where, *OUTPUTS[command], '--model', checkpoint, '--device', 'cpu',
                 '--backend', 'torch'), str(tmp_path), 'cannot be written')
    left = [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]
    assert all(cv2.imread(str(path)) is not None if path.suffix == '.png' else
               path.name == 'estimate.json' or np.load(path)['depth'].shape == SHAPE[:2]
               for path in left)
    assert not list(tmp_path.rglob('.*'))


def test_nothing_but_broken_images_is_no_output(tmp_path, run, checkpoint):
    said = [one for one in frames(2) if one.topic == '/cam/image_raw']
    for one in said:
        one.message.data = one.message.data[:100]
    source = write_rosbag2(tmp_path / 'in', said)
    one_line(run('process_bag', source, tmp_path / 'out', '--model', checkpoint, '--device',
                 'cpu'), 'no image has depth', '2 undecodable')
    assert [path.name for path in tmp_path.iterdir()] == ['in']


def test_what_is_not_metres_is_never_written_as_metres(tmp_path, bag, process, monkeypatch):
    monkeypatch.setattr(DepthEstimator, 'quantity_of', lambda *_: Quantity.INVERSE_DEPTH)
    with pytest.raises(RecordingError, match=r'no image has depth.*inverse depth, not metres'):
        process(bag(frames(2)), tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['in']


def test_other_options_do_not_go_on(tmp_path, bag, process, monkeypatch):
    source = bag(frames(9))
    publish = Partial.publish
    monkeypatch.setattr(Partial, 'publish', lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        process(source, tmp_path / 'out', part=0.1)
    monkeypatch.setattr(Partial, 'publish', publish)
    with pytest.raises(RecordingError, match=r'part 0\.1 instead of 0\.2: say the same, or'):
        process(source, tmp_path / 'out', part=0.2)
    process(source, tmp_path / 'out', part=0.2, restart=True)
    assert len(list((tmp_path / 'out').glob('*.mcap'))) == 2


def test_two_at_once_do_not_write_one_output(tmp_path, bag, process):
    source = bag(frames(2))
    with Partial(tmp_path / 'out', {}), pytest.raises(RecordingError, match='another process'):
        process(source, tmp_path / 'out')
    process(source, tmp_path / 'out')
