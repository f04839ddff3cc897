# SPDX-License-Identifier: Apache-2.0
"""Notes that a power failure left empty or broken: made again, or refused with the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_estimation_ros.offline.partial import Partial
from depth_estimation_ros.recordings import RecordingError

from .conftest import SHAPE, frames
from .kills import content

DAMAGE = ('', *(pytest.param(text, marks=pytest.mark.slow)
                for text in ('{"acc', '[]', '[{}]')))


@pytest.fixture
def begun(tmp_path, bag, process, monkeypatch) -> Path:
    """A run of process_bag whose three parts are finished, and whose output has no name yet."""
    source = bag(frames(9))
    (tmp_path / 'expected').mkdir()
    process(source, tmp_path / 'expected' / 'out', part=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(Partial, 'publish', lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            process(source, tmp_path / 'out', part=0.1)
    return source


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_part_whose_note_is_damaged_is_made_again(tmp_path, process, begun, damage):
    (tmp_path / '.out.partial' / 'notes' / '1.json').write_text(damage)
    process(begun, tmp_path / 'out', part=0.1)
    assert content(tmp_path / 'out') == content(tmp_path / 'expected' / 'out')


@pytest.mark.parametrize('damage', DAMAGE)
def test_parts_of_nobody_knows_what_are_not_taken(tmp_path, process, begun, damage):
    (tmp_path / '.out.partial' / 'job.json').write_text(damage)
    with pytest.raises(RecordingError, match=r'job\.json is missing or damaged.*--restart'):
        process(begun, tmp_path / 'out', part=0.1)
    process(begun, tmp_path / 'out', part=0.1, restart=True)
    assert (tmp_path / 'out' / 'metadata.yaml').is_file()


def test_a_part_is_on_the_disk_before_it_is_noted(tmp_path, process, bag, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f'/proc/self/fd/{descriptor}').readlink().suffix)
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', noted)
    process(bag(frames(2)), tmp_path / 'out')
    note = synced.index('.mcap') + 1
    assert synced[note:note + 1] == ['.tmp']


@pytest.mark.parametrize('damage', DAMAGE)
def test_depth_of_nobody_knows_what_is_not_taken(tmp_path, estimated, damage):
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in' / 'a.png'), np.zeros(SHAPE, np.uint8))
    estimated(tmp_path / 'in', tmp_path / 'out')
    (tmp_path / 'out' / 'estimate.json').write_text(damage)
    with pytest.raises(RecordingError, match=r'estimate\.json is damaged.*--overwrite'):
        estimated(tmp_path / 'in', tmp_path / 'out')
    estimated(tmp_path / 'in', tmp_path / 'out', overwrite=True)


def test_a_file_that_a_power_failure_left_empty_is_made_again(tmp_path, estimated):
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in' / 'a.png'), np.zeros(SHAPE, np.uint8))
    estimated(tmp_path / 'in', tmp_path / 'out')
    (tmp_path / 'out' / 'png' / 'a.png').write_bytes(b'')
    estimated(tmp_path / 'in', tmp_path / 'out')
    assert (tmp_path / 'out' / 'png' / 'a.png').stat().st_size
