# SPDX-License-Identifier: Apache-2.0
"""The comparison of CPU backends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depth_estimation_ros.tools import compare_backends


@pytest.mark.slow
def test_backends_are_compared_and_give_the_same_metres(tmp_path: Path) -> None:
    pytest.importorskip('openvino', reason='openvino is not installed')
    assert compare_backends.main(
        ['--models', 'tiny', '--batches', '2', '--repeats', '1', '--output', str(tmp_path)]) == 0
    rows = json.loads((tmp_path / 'backends.json').read_text())
    assert [row['backend'] for row in rows[:2]] == ['torch', 'openvino']
    for row in rows:
        assert row['verdict'] == 'yes' and row['batch'] == 2 and row['ms'] > 0


def test_what_is_missing_is_named(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(compare_backends, 'find_spec', lambda name: None)
    assert compare_backends._installed() == []
    assert 'pip install onnxruntime onnx onnxscript' in capsys.readouterr().out
