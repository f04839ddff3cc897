# SPDX-License-Identifier: Apache-2.0
"""What the commands make of an interruption, and of numbers that are none."""

from __future__ import annotations

import pytest

from depth_estimation_ros.offline.command import INTERRUPTED, run_command
from depth_estimation_ros.tools import calibrate, evaluate


def interrupted(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(('goes_on', 'said'), [
    (True, 'a: interrupted: the same command goes on from here\n'),
    (False, 'a: interrupted\n')])
def test_an_interruption_is_one_line(capsys, goes_on: bool, said: str) -> None:
    assert run_command('a', interrupted, goes_on=goes_on) == INTERRUPTED
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(('tool', 'entry'), [
    (evaluate, 'open_source'), (calibrate, 'calibrate_depth')])
def test_evaluate_and_calibrate_end_without_a_traceback(
        monkeypatch, capsys, tool, entry: str) -> None:
    monkeypatch.setattr(tool, entry, interrupted)
    args = ['drive'] if tool is evaluate else ['depth', 'drive']
    assert tool.main(args) == INTERRUPTED
    assert capsys.readouterr().err.endswith(': interrupted\n')


@pytest.mark.parametrize(('tool', 'args'), [(evaluate, []), (calibrate, ['depth'])])
def test_a_number_of_frames_below_0_is_a_wrong_use(capsys, tool, args: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tool.main([*args, 'drive', '--frames', '-3'])
    assert ended.value.code == 2 and 'argument --frames: -3 is below 0' in capsys.readouterr().err
