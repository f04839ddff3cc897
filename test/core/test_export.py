# SPDX-License-Identifier: Apache-2.0
"""Exported graphs: read back they give torch's depth, and a file is whole or not there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from depth_estimation_ros.core import export
from depth_estimation_ros.core.errors import CheckpointError, DepthError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.export import ExportOptions, export_model
from depth_estimation_ros.core.families.base import Size
from depth_estimation_ros.core.families.card import Card
from depth_estimation_ros.core.frame import Frame, Image
from depth_estimation_ros.core.resample import resize_bicubic, resize_like_pil, static
from depth_estimation_ros.tools import export as command
from depth_estimation_ros.tools.architectures import save_checkpoint, seeded_model, tiny_config
from depth_estimation_ros.tools.seeded import ARCHITECTURES, write_checkpoint

pytest.importorskip('onnxscript', reason='nothing here writes ONNX files')

SIZE = Size(120, 160)

PLAIN = [name for name in ARCHITECTURES if name != 'prompt_depth_anything']


def picture() -> Image:
    coarse = np.random.default_rng(5).uniform(0, 255, (5, 7, 3)).astype(np.float32)
    return cv2.resize(coarse, SIZE[::-1]).astype(np.uint8)


def written(name: str, folder: Path) -> Path:
    if name == 'zoedepth':
        return save_checkpoint(seeded_model(tiny_config()), folder, 96, 128)
    return write_checkpoint(ARCHITECTURES[name], folder)


def depth_of(model: Path, frame: Frame) -> tuple[Any, Any]:
    estimator = DepthEstimator(EstimatorOptions(str(model), device='cpu', backend='torch'))
    depth, = estimator.estimate([frame])
    quantity = estimator.quantity_of(frame)
    estimator.close()
    return depth, quantity


@pytest.mark.parametrize(('name', 'file'), [
    ('depth_anything', 'network.onnx'),
    pytest.param('zoedepth', 'network.onnx', marks=pytest.mark.slow),
    *(pytest.param(name, f'network{suffix}', marks=pytest.mark.slow)
      for name in PLAIN for suffix in ('.onnx', '.xml'))])
def test_an_export_read_back_gives_the_same_depth(name: str, file: str, tmp_path: Path) -> None:
    model, path = written(name, tmp_path / 'model'), tmp_path / 'out' / file
    deviation = export_model(ExportOptions(str(model), SIZE), path)
    assert deviation.within(export.MAX_DEVIATION)
    assert {found.name for found in path.parent.iterdir()} == {
        file, 'network.yaml', *(['network.bin'] if file.endswith('.xml') else [])}
    assert Card.read(path.parent / 'network.yaml').estimates_focal_length is (name == 'depth_pro')
    frame = Frame(picture())
    (ours, quantity), (expected, wanted) = depth_of(path, frame), depth_of(model, frame)
    assert quantity is wanted and ours.shape == SIZE
    error = np.abs(ours - expected) / np.maximum(np.abs(expected), 0.01 * expected.max())
    assert error.mean() < 1e-3 and np.percentile(error, 99) < 1e-2 and np.ptp(expected) > 0


def test_what_cannot_be_exported_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = written('glpn', tmp_path / 'model'), tmp_path / 'out' / 'network.xml'
    options = ExportOptions(str(model), SIZE)
    with monkeypatch.context() as patch:
        patch.setattr(export, '_depth', lambda family, image: np.full(SIZE, 7, np.float32))
        with pytest.raises(CheckpointError, match='gives other depth as a graph than in torch'):
            export_model(options, path)
    monkeypatch.setattr(export, '_program', lambda *_: torch.ones(0)[1])
    with pytest.raises(CheckpointError, match='cannot be exported: index 1'):
        export_model(options, path)
    assert not list(path.parent.iterdir())


def test_what_is_asked_for_in_vain_is_named_before_any_work(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = written('prompt_depth_anything', tmp_path / 'model')
    options = ExportOptions(str(model), SIZE)
    with pytest.raises(CheckpointError, match='takes a prompt'):
        export_model(options, tmp_path / 'network.onnx')
    (tmp_path / 'there.onnx').touch()
    with pytest.raises(DepthError, match=r'there\.onnx exists'):
        export_model(options, tmp_path / 'there.onnx')
    with pytest.raises(DepthError, match=r'must end with \.onnx or \.xml'):
        export_model(options, tmp_path / 'network.pt')
    monkeypatch.setattr(export, 'find_spec', lambda name: None)
    with pytest.raises(DepthError, match='pip install onnx onnxscript onnxruntime'):
        export_model(options, tmp_path / 'network.onnx')


def test_the_command_says_what_it_wrote_and_how_near_it_is(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    model = written('glpn', tmp_path / 'model')
    arguments = [str(model), str(tmp_path / 'network'), '--format', 'openvino', '--size']
    monkeypatch.setattr(sys, 'argv', ['export', *arguments, '120x160', '--network', '64x96'])
    assert command.main() == 0
    said = capsys.readouterr().out
    assert 'network.xml: differs from torch by' in said and 'network.yaml' in said
    ours, _ = depth_of(tmp_path / 'network.xml', Frame(picture()))
    assert ours.shape == SIZE and np.ptp(ours) > 0
    assert 'sees 96x64' in ' '.join((tmp_path / 'network.yaml').read_text().split())
    assert command.main() == 1
    assert 'network.xml exists' in capsys.readouterr().err
    monkeypatch.setattr(sys, 'argv', ['export', *arguments, '640'])
    with pytest.raises(SystemExit):
        command.main()
    assert 'HEIGHTxWIDTH' in capsys.readouterr().err


@pytest.mark.parametrize('kernel', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('size', [(70, 98), (200, 333)])
def test_resizing_for_a_graph_is_that_of_pil_but_for_rounding(
        kernel: str, size: tuple[int, int]) -> None:
    image = torch.from_numpy(picture()).permute(2, 0, 1)
    expected = resize_like_pil(image, size, kernel).float()
    with static():
        ours = resize_like_pil(image.float(), size, kernel)
        depth = resize_bicubic(expected[0], (50, 60))
    difference = (ours - expected).abs()
    assert difference.max() <= 2 and (difference > 0).float().mean() < 0.01
    torch.testing.assert_close(depth, resize_bicubic(expected[0], (50, 60)), rtol=1e-4, atol=1e-2)


@pytest.mark.slow
def test_a_pinned_domain_is_exported(tmp_path: Path) -> None:
    model, path = written('zoedepth', tmp_path / 'model'), tmp_path / 'network.onnx'
    export_model(ExportOptions(str(model), SIZE, domain='kitti'), path)
    pinned = DepthEstimator(EstimatorOptions(
        str(model), device='cpu', backend='torch', domain='kitti'))
    wanted, = pinned.estimate([picture()])
    pinned.close()
    depth, _ = depth_of(path, Frame(picture()))
    np.testing.assert_allclose(depth, wanted, rtol=1e-3)
    assert np.abs(depth / depth_of(model, Frame(picture()))[0] - 1).max() > 2e-2
