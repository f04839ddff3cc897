# SPDX-License-Identifier: Apache-2.0
"""The cards of config/cards: each serves a stand-in network of the signature that it speaks of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_estimation_ros.core.checkpoint import read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.base import Family, Quantity
from depth_estimation_ros.core.families.card import Card
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Frame, Image

from .test_parity import estimate

onnx = pytest.importorskip('onnx', reason='nothing here writes ONNX files')

CARDS = Path(__file__).resolve().parents[3] / 'config' / 'cards'

SIGNATURES = {
    'da3metric-large': ('image', {'depth': 1}),
    'metric3d-vit': ('image', {'pred_depth': 1}),
    'unidepth-v2': ('rgbs', {'confidence': 1, 'pts_3d': 3}),
}
"""Of each card the input's name, and the outputs' with their channels."""

LIGHT = 100
"""The grey level of the images' middle."""


def stand_in(name: str, folder: Path) -> Path:
    """Write a network whose last channel is the mean of what it is given, and its card."""
    image, outputs = SIGNATURES[name]
    card = Card.read(CARDS / f'{name}.yaml')
    size, float32 = (card.height, card.width), onnx.TensorProto.FLOAT
    helper = onnx.helper
    nodes = [helper.make_node('ReduceMean', [image, 'axes'], ['grey'], keepdims=1),
             helper.make_node('Neg', ['grey'], ['other'])]
    nodes += [helper.make_node('Concat', ['other'] * (channels - 1) + ['grey'], [output], axis=1)
              for output, channels in outputs.items()]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info(image, float32, (1, 3, *size))],
        [helper.make_tensor_value_info(output, float32, (1, channels, *size))
         for output, channels in outputs.items()],
        [helper.make_tensor('axes', onnx.TensorProto.INT64, (1,), [1])])
    path = folder / 'network.onnx'
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)],
                                ir_version=9), path)
    shutil.copy(CARDS / f'{name}.yaml', folder / 'network.yaml')
    return path


@pytest.mark.parametrize('channel', [0, 1])
def test_a_channel_that_the_network_lacks_fails_the_load(channel: int, tmp_path: Path) -> None:
    path = stand_in('da3metric-large', tmp_path)
    card = tmp_path / 'network.yaml'
    card.write_text(f'{card.read_text()}\nchannel: {channel}\n')
    options = EstimatorOptions(str(path), device='cpu')
    if channel == 0:
        DepthEstimator(options).close()
        return
    with pytest.raises(CheckpointError, match=r'gives 1x1x336x504 .* channel 1 of it'):
        DepthEstimator(options)


def split(height: int, width: int) -> Image:
    """Return an image whose left half is lighter than its right half."""
    image = np.full((height, width, 3), LIGHT, np.uint8)
    image[:, width // 2:] = LIGHT // 2
    return image


def loaded(name: str, folder: Path) -> tuple[Family, Card]:
    return (load_family(read_checkpoint(str(stand_in(name, folder)))),
            Card.read(CARDS / f'{name}.yaml'))


def test_every_card_has_its_signature() -> None:
    assert {path.stem for path in CARDS.glob('*.yaml')} == set(SIGNATURES)


@pytest.mark.parametrize(('height', 'width'), [(480, 640), (375, 1242)])
@pytest.mark.parametrize('name', SIGNATURES)
def test_a_card_serves_a_network_of_its_signature(
        name: str, height: int, width: int, tmp_path: Path) -> None:
    family, card = loaded(name, tmp_path)
    assert card.licence and 'https://' in card.source
    frame = Frame(split(height, width), focal_length=600.0)
    depth = estimate(family, frame)
    assert depth.shape == (height, width) and family.quantity_of(frame) is Quantity.METRES
    scale = min(card.height / height, card.width / width) if card.padding else card.width / width
    focal = 600 * scale / card.reference_focal_length if card.reference_focal_length else 1.0
    for level, part in ((LIGHT, depth[:, :width // 4]), (LIGHT // 2, depth[:, -width // 4:])):
        expected = focal * np.mean([(level * card.factor - mean) / std for mean, std in
                                    zip(card.mean, card.std, strict=True)])
        np.testing.assert_allclose(part, expected, rtol=2e-3, atol=1e-5)


def test_what_a_letterboxed_network_sees_is_the_whole_image_with_its_borders(
        tmp_path: Path) -> None:
    family, card = loaded('metric3d-vit', tmp_path)
    image = split(480, 640)
    pixels = family.inputs(torch.from_numpy(image), Frame(image)).numpy()
    assert pixels.shape == (3, 616, 1064) and card.padding is not None
    left = (1064 - 821) // 2
    np.testing.assert_array_equal(pixels[:, 300, left - 1], np.array(card.padding, np.float32))
    np.testing.assert_array_equal(pixels[:, 300, left], [LIGHT] * 3)
    np.testing.assert_array_equal(pixels[:, 300, left + 820], [LIGHT // 2] * 3)
    np.testing.assert_array_equal(pixels[:, 300, left + 821], np.array(card.padding, np.float32))
