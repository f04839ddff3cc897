# SPDX-License-Identifier: Apache-2.0
"""Notes of a job over many bags that are empty or broken: made again, or the remedy is named."""

from __future__ import annotations

import json

import pytest

from depth_estimation_ros.fleet.run import REPORT
from depth_estimation_ros.fleet.storage import FOLDER
from depth_estimation_ros.recordings import RecordingError

from .conftest import content

DAMAGE = ('', *(pytest.param(text, marks=pytest.mark.slow) for text in ('{"acc', '[{}]')))


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_part_whose_note_is_damaged_is_made_again(tmp_path, drives, run, expected, damage):
    run(drives, tmp_path / 'out')
    (tmp_path / 'out' / FOLDER / 'bags' / 'a' / 'part_1.json').write_text(damage)
    (tmp_path / 'out' / FOLDER / 'bags' / 'a' / 'attempts_1.json').write_text(damage)
    assert run(drives, tmp_path / 'out')['a'].made == 1
    assert content(tmp_path / 'out') == expected


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_plan_is_named_and_redo_makes_it_anew(tmp_path, drives, run, expected, damage):
    run(drives, tmp_path / 'out')
    (tmp_path / 'out' / FOLDER / 'bags' / 'a' / 'plan.json').write_text(damage)
    reports = run(drives, tmp_path / 'out')
    assert 'the plan of a' in reports['a'].errors[0] and '--redo a' in reports['a'].errors[0]
    assert reports['monday/b'].is_whole
    assert run(drives, tmp_path / 'out', redo=['a'])['a'].made == 3
    assert content(tmp_path / 'out') == expected


@pytest.mark.parametrize(('note', 'said'), [
    (f'{FOLDER}/job.json', r'job\.json is damaged.*--restart'),
    (REPORT, rf'{REPORT} is damaged.*--restart')])
@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_note_of_the_job_is_refused_until_restart(
        tmp_path, drives, run, note, said, damage):
    run(drives, tmp_path / 'out')
    (tmp_path / 'out' / note).write_text(damage)
    for _ in range(2):
        with pytest.raises(RecordingError, match=said):
            run(drives, tmp_path / 'out')
    assert (tmp_path / 'out' / note).read_text() == damage
    assert run(drives, tmp_path / 'out', restart=True)['a'].is_whole
    assert len(json.loads((tmp_path / 'out' / REPORT).read_text())) == 3
