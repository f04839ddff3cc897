# SPDX-License-Identifier: Apache-2.0
"""calibration.yaml: written whole, read back, refused when it makes no sense."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from depth_estimation_ros.calibration_file import (
    CalibrationError,
    CalibrationFile,
    CameraKey,
    read_calibration,
)
from depth_estimation_ros.core.correction import INVERSE, SCALE, Correction
from depth_estimation_ros.whole_file import write_whole

CAMERA = CameraKey(640, 480, 525.0)
FILE = CalibrationFile('demo', CAMERA, Correction(SCALE, 1.07), 0.01, '2026-01-01T00:00:00+00:00',
                       {'method': 'floor', 'images': 20})


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    for file in (FILE, dataclasses.replace(FILE, domain='nyu', network='512x384')):
        file.write(tmp_path / 'calibration.yaml')
        assert read_calibration(tmp_path / 'calibration.yaml') == file
    assert [path.name for path in tmp_path.iterdir()] == ['calibration.yaml']


def test_corrections_are_their_formulas() -> None:
    assert Correction(SCALE, 2.0)(np.array([1.0, np.inf])).tolist() == [2.0, np.inf]
    inverse = Correction(INVERSE, 4.0, -1.0)(np.array([1.0, 3.0, -1.0, -2.0, np.nan]))
    np.testing.assert_array_equal(inverse, np.array([2, 1, np.nan, np.nan, np.nan], np.float32))


@pytest.mark.parametrize(('key', 'value', 'named'), [
    ('values', {'scale': 0.0, 'shift': 0.0}, 'scale 0'),
    ('values', {'scale': float('nan'), 'shift': 0.0}, 'nan'),
    ('values', {'scale': 1000.0, 'shift': 0.0}, 'absurd'),
    ('values', {'scale': -1.0, 'shift': 0.0}, '-1'),
    ('values', {'scale': 1.0, 'shift': 0.5}, 'shift'),
    ('values', {'scale': 1.0}, "no 'shift'"), ('values', 3, 'no calibration.yaml'),
    ('values', {'scale': 'wide', 'shift': 0.0}, 'wide'),
    ('kind', 'cubic', 'cubic'), ('camera', {'width': 640, 'height': 480}, "no 'fx'"),
    ('camera', None, 'no calibration.yaml'), ('spread', None, 'no calibration.yaml'),
    *(('camera', {'width': 640, 'height': 480, 'fx': 525.0, name: value}, named)
      for name, value, named in (
          ('fx', float('nan'), 'fx nan is no number'), ('fx', float('inf'), 'fx inf'),
          ('fx', 0.0, 'fx 0'), ('fx', -525.0, 'fx -525'), ('width', 0, 'width 0'),
          ('height', -480, 'height -480'), ('width', float('inf'), 'no calibration.yaml'),
          ('height', float('nan'), 'no calibration.yaml'),
          ('fx', 10**400, 'no calibration.yaml'))),
    ('spread', float('nan'), 'spread nan'), ('spread', float('inf'), 'spread inf'),
    ('spread', -0.1, 'spread -0.1'),
])
def test_absurd_content_is_refused_by_name(tmp_path: Path, key: str, value: object,
                                           named: str) -> None:
    path = tmp_path / 'calibration.yaml'
    FILE.write(path)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), key: value}))
    with pytest.raises(CalibrationError, match=named) as raised:
        read_calibration(path)
    assert str(path) in str(raised.value) and '\n' not in str(raised.value)


@pytest.mark.parametrize('content', ['', '[1, 2', 'a: b', '3'])
def test_what_is_no_calibration_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'calibration.yaml'
    path.write_text(content)
    with pytest.raises(CalibrationError) as raised:
        read_calibration(path)
    assert '\n' not in str(raised.value)
    with pytest.raises(CalibrationError, match='cannot be read'):
        read_calibration(tmp_path / 'none.yaml')


def test_the_metric_head_is_kept_and_compared(tmp_path: Path) -> None:
    path = tmp_path / 'calibration.yaml'
    dataclasses.replace(FILE, domain='nyu').write(path)
    file = read_calibration(path)
    file.check('demo', CAMERA, 'nyu')
    file.check('demo', CAMERA)
    with pytest.raises(CalibrationError, match="domain 'nyu', not 'kitti'"):
        file.check('demo', CAMERA, 'kitti')
    FILE.write(path)
    assert 'domain' not in path.read_text() and not read_calibration(path).domain


def test_a_key_without_a_value_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / 'calibration.yaml'
    FILE.write(path)
    text = path.read_text()
    path.write_text(f'{text}domain: null\nnetwork:\n')
    file = read_calibration(path)
    assert (file.domain, file.network) == ('', '')
    file.check('demo', CAMERA, 'nyu', '512x384')
    path.write_text(text.replace('model: demo', 'model:'))
    with pytest.raises(CalibrationError, match='model has no value'):
        read_calibration(path)


@pytest.mark.parametrize(('model', 'camera', 'named'), [
    ('other', CAMERA, "'other'"), ('demo', CameraKey(320, 240, 525.0), '320x240'),
    ('demo', CameraKey(640, 480, 400.0), '400'),
])
def test_another_model_or_camera_is_refused(model: str, camera: CameraKey, named: str) -> None:
    FILE.check('demo', None)
    FILE.check('demo', dataclasses.replace(CAMERA, fx=530.0))
    with pytest.raises(CalibrationError, match=named):
        FILE.check(model, camera)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'calibration.yaml'
    FILE.write(path)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'replace', full)
    with pytest.raises(OSError, match='No space'):
        write_whole(path, 'broken')
    assert read_calibration(path) == FILE
    assert [left.name for left in tmp_path.iterdir()] == ['calibration.yaml']
    with pytest.raises(CalibrationError, match='cannot be written'):
        FILE.write(tmp_path / 'none' / 'calibration.yaml')
