"""The comparison of CPU backends: what it needs is named, and the exported graph is one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from depth_estimation_ros.core.checkpoint import load_checkpoint
from depth_estimation_ros.core.patches import patch
from depth_estimation_ros.core.plan import Planner
from depth_estimation_ros.tools import compare_backends

EXPORTS = all(find_spec(package) for package in compare_backends.EXPORTER)


@pytest.mark.skipif(EXPORTS, reason='onnx and onnxscript are installed')
def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_backends.main(['--models', 'tiny']) == 1
    assert 'pip install onnx' in capsys.readouterr().err


@pytest.mark.skipif(not EXPORTS, reason='onnx and onnxscript are not installed')
def test_backends_are_compared(tmp_path: Path) -> None:
    rows = compare_backends.compare('tiny', tmp_path, repeats=1, seconds=10.0)
    assert rows[0]['backend'] == 'torch'
    assert all(row['verdict'] == 'yes' for row in rows)


def test_the_network_exports_as_one_graph_with_its_codes_as_constants(checkpoint: Path) -> None:
    planner = Planner(patch(load_checkpoint(str(checkpoint)).model))
    pixels = torch.rand(1, 3, 96, 128)
    depth = planner(pixels).clone()
    network = compare_backends.Network(planner.model)
    exported = torch.export.export(network, (pixels,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(pixels), depth, rtol=1e-3, atol=1e-4)
