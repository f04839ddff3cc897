# SPDX-License-Identifier: Apache-2.0
"""A model of one's own: our own exports read back through a card; cards that cannot be used."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from depth_estimation_ros.core.checkpoint import Checkpoint
from depth_estimation_ros.core.errors import CheckpointError, ImageError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.base import Quantity, Size
from depth_estimation_ros.core.families.card import Card
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Frame

from .test_parity import estimate, picture

pytest.importorskip('onnxscript', reason='nothing here writes ONNX files')

module = import_module('depth_estimation_ros.core.families.onnx')

CARD: dict[str, Any] = {
    'quantity': 'metres', 'height': 70, 'width': 98, 'licence': 'Apache-2.0',
    'source': 'exported by this test', 'range': [0.0, 20.0], 'output': 'depth'}


def checkpoint(path: Path) -> Checkpoint:
    return Checkpoint(str(path), path, {'model_type': 'onnx'}, {})


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory,
             seeded_checkpoint: Callable[[str], Checkpoint]) -> tuple[Path, Any]:
    """Return an ONNX file and the family whose network it is."""
    family = load_family(seeded_checkpoint('depth_anything_metric'), 70, 98)
    family.preprocessing = Card.read(_card(tmp_path_factory.mktemp('card'))).preprocessing()  # type: ignore[attr-defined]
    path = tmp_path_factory.mktemp('onnx') / 'network.onnx'
    pixels = torch.zeros(1, 3, 70, 98)
    with torch.no_grad():
        family.network(pixels)  # which records the position encodings of the size
        torch.onnx.export(family.network, (pixels,), path, dynamo=True, input_names=['pixels'],
                          output_names=['depth'], verbose=False)
    return path, family


def _card(folder: Path, **changes: Any) -> Path:
    path = folder / 'network.yaml'
    path.write_text(yaml.safe_dump({**CARD, **changes}))
    return path


@pytest.mark.parametrize('runtime', ['run_by_openvino', 'run_by_onnxruntime'])
def test_an_exported_network_gives_the_same_depth(
        exported: tuple[Path, Any], runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, family = exported
    _card(path.parent)
    monkeypatch.setattr(module, '_runtimes', lambda: [(runtime, getattr(module, runtime))])
    own = load_family(checkpoint(path))
    frame = Frame(picture(640, 480))
    assert own.quantity is Quantity.METRES and own.range == (0.0, 20.0)
    assert own.size(480, 640) == (70, 98)
    torch.testing.assert_close(estimate(own, frame), estimate(family, frame),
                               rtol=1e-5, atol=1e-5)


def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime', reason='nothing here runs ONNX files')
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('ORT_DISABLE_TELEMETRY', 'CI')}
    subprocess.run(
        [sys.executable, '-c', 'from depth_estimation_ros.core.families import onnx\n'
         'assert onnx._runtimes()'], check=True, timeout=120,
        env={**environment, 'HOME': str(tmp_path), 'XDG_CACHE_HOME': ''})
    assert not [path for path in tmp_path.rglob('*') if 'onnxruntime' in path.name]


def test_a_focal_length_scales_what_the_card_says_it_scales(exported: tuple[Path, Any]) -> None:
    path, _ = exported
    image = picture(640, 480)
    _card(path.parent)
    plain = estimate(load_family(checkpoint(path)), Frame(image))
    _card(path.parent, reference_focal_length=300)
    own = load_family(checkpoint(path))
    calibrated = Frame(image, focal_length=600.0)
    assert own.quantity_of(Frame(image)) is Quantity.RELATIVE_DEPTH
    assert own.quantity_of(calibrated) is Quantity.METRES
    torch.testing.assert_close(estimate(own, calibrated), plain * (600 * 98 / 640 / 300))


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'quantity': 'feet'}, "quantity is 'feet'.*metres, inverse_depth, relative_depth"),
    ({'height': 0}, 'height is 0'), ({'width': '98'}, "width is '98'"),
    ({'std': [1.0, 0.0, 1.0]}, 'std'), ({'kernel': 'lanczos'}, 'lanczos'),
    ({'range': [5.0, 1.0]}, 'range'), ({'channel': -1}, 'channel is -1'),
    ({'padding': [1.0, 2.0]}, 'padding'), ({'padding': [0, 0, 0], 'multiple': 14}, 'padding'),
    ({'colour': 'bgr'}, 'unknown colour'), ({'factor': 0}, 'factor is 0'),
    ({'factor': '1/0'}, "factor is '1/0', not a number"), ({'factor': '.nan'}, 'not a number'),
    ({'range': [0.1]}, 'range'), ({'range': [0, 80, 3]}, 'range'), ({'range': 80}, 'not a list'),
    ({'channel': '1'}, "channel is '1', not a whole number"), ({'width': True}, 'width is True'),
    ({'reference_focal_length': 'a'}, "reference_focal_length is 'a', not a number"),
    ({'reference_focal_length': -1}, 'reference_focal_length is -1'),
    ({'reference_focal_length': 300, 'quantity': 'inverse_depth'}, 'quantity must be metres'),
    ({'keep_aspect_ratio': 'yes please'}, 'neither true nor false'), ({'mean': 0.5}, 'not a list'),
    ({'mean': ['a', 'b', 'c']}, "mean is 'a', not a number")])
def test_a_card_that_cannot_be_used_is_named(
        changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        Card.read(_card(tmp_path, **changes))


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / 'network.yaml'
    path.write_text(yaml.safe_dump(CARD) + 'factor: 1/255\nmean: [1e-1, 5e-1, 1]\n')
    card = Card.read(path)
    assert (card.factor, card.mean) == (1 / 255, (0.1, 0.5, 1.0))
    changed = {**CARD, 'range': [0.1, math.inf], 'kernel': None, 'reference_focal_length': None}
    path.write_text(yaml.safe_dump(changed))
    card = Card.read(path)  # no far end; what is null is as if it were left out
    assert (card.range, card.kernel, card.reference_focal_length) == (
        (0.1, math.inf), 'bicubic', 0.0)
    path.write_text(yaml.safe_dump({**CARD, 'licence': None}))
    with pytest.raises(CheckpointError, match='licence is empty'):
        Card.read(path)


@pytest.mark.parametrize(('shape', 'channel'), [
    ((70, 98), 0), ((1, 70, 98), 0), ((1, 1, 70, 98), 0), ((1, 3, 70, 98), 2), ((1, 70, 98, 1), 0),
    ((1, 70, 98, 3), 2), ((1, 1, 1, 70, 98), 0), ((1, 5, 7), 0), ((3, 70, 98), 1)])
def test_a_map_is_found_wherever_a_network_puts_it(shape: tuple[int, ...], channel: int) -> None:
    height, width = (5, 7) if 7 in shape else (70, 98)
    wanted = np.random.default_rng(0).random((height, width)).astype(np.float32)
    found = np.full(shape, np.nan, np.float32)
    index = next(at for at in (..., (..., channel, slice(None), slice(None)), (..., channel))
                 if found[at].size == wanted.size)
    found[index] = wanted.reshape(found[index].shape)
    assert np.array_equal(module.map_of(found, channel, Size(70, 98)), wanted)


@pytest.mark.parametrize(('shape', 'channel'), [
    ((1, 3, 70, 98), 3), ((1, 98, 70), 0), ((1, 6860), 0), ((1,), 0), ((1, 1, 2, 98), 0),
    ((2, 1, 70, 98), 0), ((1, 70, 98, 1), 1)])
def test_what_holds_no_map_is_named_with_its_shape(shape: tuple[int, ...], channel: int) -> None:
    with pytest.raises(CheckpointError, match=f'gives {"x".join(map(str, shape))} for an image'):
        module.map_of(np.zeros(shape), channel, Size(70, 98))


@pytest.mark.parametrize(('text', 'reason'), [
    (None, 'needs a card'), ('a: [', 'not valid YAML'), ('just words', 'no names'),
    ('quantity: metres', 'it lacks height, licence, source, width')])
def test_a_file_that_is_no_card_is_named(text: str | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / 'network.yaml'
    if text is not None:
        path.write_text(text)
    with pytest.raises(CheckpointError, match=reason):
        Card.read(path)


def test_a_file_that_no_runtime_reads_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'network.onnx'
    path.write_bytes(np.arange(99, dtype=np.uint8).tobytes())
    _card(tmp_path)
    with pytest.raises(CheckpointError, match=r'network\.onnx.*OpenVINO.*ONNX Runtime'):
        load_family(checkpoint(path))


def test_a_model_that_takes_the_focal_length_loads_where_metres_are_asked_for(
        exported: tuple[Path, Any]) -> None:
    path, _ = exported
    _card(path.parent, reference_focal_length=300)
    estimator = DepthEstimator(EstimatorOptions(str(path), device='cpu', only_metres=True))
    image = picture(640, 480)
    with pytest.raises(ImageError, match='camera_info'):
        estimator.estimate([image])
    near, far = (estimator.estimate([Frame(image, focal_length)])[0]
                 for focal_length in (300.0, 600.0))
    np.testing.assert_allclose(far, 2 * near, rtol=1e-5)
    estimator.close()
