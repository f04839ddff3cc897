# SPDX-License-Identifier: Apache-2.0
"""Damaged files of depth are refused in one line, whatever their readers raise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.offline.formats import FORMATS, decoded
from depth_estimation_ros.recordings import RecordingError

DEPTH = np.random.default_rng(0).uniform(1, 5, (24, 32)).astype(np.float32)


def refused(kind: str, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(RecordingError) as raised:
        decoded(kind, file)
    assert str(raised.value).startswith(f'{file} ') and '\n' not in str(raised.value)


@pytest.mark.parametrize('kind', FORMATS)
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == 'exr':
        pytest.importorskip('OpenEXR')
    suffix, encode = FORMATS[kind]
    whole = encode(DEPTH)
    for size in 0, 5, 20, 100, len(whole) // 2:
        if kind != 'pfm' or size < 20:  # OpenCV reads what is there of one
            refused(kind, tmp_path / f'depth{suffix}', whole[:size])


def test_an_npz_with_damage_inside_is_refused(tmp_path: Path) -> None:
    content = FORMATS['npz'][1](DEPTH)
    for place in range(30, len(content) - 200, 40):
        damaged = content[:place] + b'\xff' * 60 + content[place + 60:]
        refused('npz', tmp_path / 'depth.npz', damaged)


@pytest.mark.parametrize(('sound', 'damage'), [
    (b'32)', b'32('), (b'{', b'\xff'), (b'}', b' '), (b"'shape'", b"'shade'"), (b'<f4', b'<q9')])
def test_an_npy_with_a_damaged_header_is_refused(
        tmp_path: Path, sound: bytes, damage: bytes) -> None:
    content = FORMATS['npy'][1](DEPTH)
    assert sound in content
    refused('npy', tmp_path / 'depth.npy', content.replace(sound, damage, 1))


def test_a_header_that_claims_more_than_memory_holds_is_refused(tmp_path: Path) -> None:
    claimed = b'(9999999, 9999999), }'
    content = FORMATS['npy'][1](DEPTH).replace(b'(24, 32), }'.ljust(len(claimed)), claimed, 1)
    assert claimed in content
    refused('npy', tmp_path / 'depth.npy', content)


def test_an_exr_of_one_channel_is_depth_whatever_the_channel_is_called(tmp_path: Path) -> None:
    openexr = pytest.importorskip('OpenEXR')
    openexr.File({}, {'Y': DEPTH}).write(str(tmp_path / 'depth.exr'))
    np.testing.assert_array_equal(decoded('exr', tmp_path / 'depth.exr'), DEPTH)
