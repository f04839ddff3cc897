# SPDX-License-Identifier: Apache-2.0
"""Graphs that are no way from an image to a map, in each runtime: one line that says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from depth_estimation_ros.core.checkpoint import read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError, ImageError
from depth_estimation_ros.core.families.base import Family
from depth_estimation_ros.core.families.graph_ports import Port
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Frame

from .test_parity import estimate, picture

onnx: Any = pytest.importorskip('onnx', reason='nothing here writes ONNX files')
module = import_module('depth_estimation_ros.core.families.onnx')

CARD: dict[str, Any] = {'quantity': 'metres', 'height': 24, 'width': 32, 'licence': 'Apache-2.0',
                        'source': 'written by this test', 'mean': [0.0] * 3, 'std': [1.0] * 3}

PIXELS = (1, 3, 24, 32)

RUNTIMES = {'run_by_openvino': 'openvino', 'run_by_onnxruntime': 'onnxruntime'}

Write = Callable[..., Path]


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have one of the runtimes alone; return its loader's name."""
    name = str(request.param)
    pytest.importorskip(RUNTIMES[name], reason='the runtime is not installed')
    monkeypatch.setattr(module, '_runtimes', lambda: [(name, getattr(module, name))])
    return name


def write(folder: Path, shape: Sequence[Any] = PIXELS, kind: str = 'FLOAT', *,
          gives: str = 'FLOAT', more: dict[str, Sequence[int]] | None = None,
          tied: bool = False, **card: Any) -> Path:
    """
    Write a graph whose map is the mean of the channels and of all other inputs, and its card.

    :param shape: of the pixels.
    :param kind: the type of the pixels, as :class:`onnx.TensorProto` calls it.
    :param gives: the type of the map, likewise.
    :param more: the shapes of other inputs by their names.
    :param tied: whether the graph runs on pixels of 30x40 alone, whatever it declares.
    """
    helper, types = onnx.helper, onnx.TensorProto
    more = more or {}
    nodes = [helper.make_node('Cast', ['image'], ['pixels'], to=types.FLOAT),
             helper.make_node('ReduceMean', ['pixels'], ['mean0'], axes=[1], keepdims=1)]
    for index, name in enumerate(more):
        nodes += [helper.make_node('ReduceMax', [name], [f'{name}0'], keepdims=0),
                  helper.make_node('Mul', [f'mean{index}', f'{name}0'], [f'mean{index + 1}'])]
    nodes += [helper.make_node('Reshape', [f'mean{len(more)}', 'size'], ['map'])] if tied else [
        helper.make_node('Identity', [f'mean{len(more)}'], ['map'])]
    nodes.append(helper.make_node('Cast', ['map'], ['depth'], to=getattr(types, gives)))
    graph = helper.make_graph(
        nodes, 'graph', [helper.make_tensor_value_info('image', getattr(types, kind), shape), *(
            helper.make_tensor_value_info(name, types.FLOAT, each)
            for name, each in more.items())],
        [helper.make_tensor_value_info('depth', getattr(types, gives), None)],
        [helper.make_tensor('size', types.INT64, (4,), [1, 1, 30, 40])] if tied else [])
    path = folder / 'network.onnx'
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)],
                                ir_version=8), path)
    (folder / 'network.yaml').write_text(yaml.safe_dump({**CARD, **card}))
    return path


def load(path: Path) -> Family:
    return load_family(read_checkpoint(str(path)))


@pytest.mark.parametrize('shape', [
    PIXELS, ('batch', 3, 'height', 'width'), (1, 'channels', 24, 'width')], ids=str)
@pytest.mark.parametrize('kind', ['FLOAT', 'FLOAT16', 'DOUBLE'])
def test_a_graph_takes_the_pixels_in_its_own_type(
        runtime: str, shape: Sequence[Any], kind: str, tmp_path: Path) -> None:
    frame = Frame(np.full((24, 32, 3), 51, np.uint8))
    depth = estimate(load(write(tmp_path, shape, kind)), frame)
    np.testing.assert_allclose(depth, 0.2, rtol=1e-3)


@pytest.mark.parametrize(('given', 'reason'), [
    ({'more': {'intrinsics': (1, 3, 3)}}, r"has 2 inputs \('image'.*; 'intrinsics'.* 1x3x3\)"),
    ({'kind': 'UINT8'}, "takes 'image', u.*8 1x3x24x32, where"),
    ({'kind': 'INT64'}, "takes 'image', i.*64 1x3x24x32, where"),
    ({'kind': 'BFLOAT16'}, "takes 'image', bf.*16 1x3x24x32, where"),
    ({'gives': 'BFLOAT16'}, "gives 'depth', bf.*16 .*a type that is not read"),
    ({'shape': (1, 24, 32, 3)}, r'1x24x32x3, and by its card pixels are 1x3x24x32'),
    ({'shape': (1, 3, 24, 40)}, r'1x3x24x40, and by its card'),
    ({'shape': (4, 3, 24, 32)}, r'4x3x24x32, and by its card'),
    ({'shape': (1, 'height', 'width', 3)}, r'1x\?x\?x3, and by its card'),
    ({'shape': (3, 24, 32)}, ' 3x24x32, and by its card'),
    ({'output': 'metres'}, r"no output 'metres', which the card names: it has .*depth")], ids=str)
def test_a_graph_that_is_no_way_from_an_image_to_a_map_is_refused(
        runtime: str, given: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, **given)
    with pytest.raises(CheckpointError, match=reason) as error:
        load(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_a_graph_that_fails_on_what_it_declares_is_named(
        runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)  # on one, OpenVINO does not notice
    path = write(tmp_path, (1, 3, 'height', 'width'), tied=True)
    with pytest.raises(CheckpointError, match='does not run on pixels of 1x3x24x32: ') as error:
        estimate(load(path), Frame(picture(64, 48)))
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('card', [{'keep_aspect_ratio': True}, {'multiple': 14}], ids=str)
def test_an_image_that_a_fixed_graph_cannot_see_is_refused(
        runtime: str, card: dict[str, Any], tmp_path: Path) -> None:
    family = load(write(tmp_path, **card))
    with pytest.raises(ImageError, match='which the graph does not take'):
        family.size(48, 80)
    load(write(tmp_path, (1, 3, 'height', 'width'), **card)).size(48, 80)


@pytest.mark.parametrize('content', [
    b'', b'<!DOCTYPE html><html><head></head></html>',
    b'version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n'], ids=str)
def test_a_file_that_is_no_graph_says_more_than_a_place_in_somebodys_sources(
        runtime: str, content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'[Ll]oad.*|read the model.*') as error:
        load(path)
    text = str(error.value)
    assert '.cpp' not in text and 'Fetch or export it again' in text and '\n' not in text


@pytest.mark.parametrize(('shape', 'taken'), [
    ((1, 3, 24, 32), True), ((None, 3, None, None), True), (None, True), ((1, 3, 24, 40), False),
    ((1, 3, 24), False), ((2, 3, None, None), False)], ids=str)
def test_what_is_free_fits_anything(shape: Any, taken: bool) -> None:
    assert Port('image', 'float', shape).takes(PIXELS) == taken
