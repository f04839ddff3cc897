# SPDX-License-Identifier: Apache-2.0
"""Checkpoints whose config.json fits no network of ours: one line that names them, at load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from depth_estimation_ros.core.checkpoint import Checkpoint, read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError
from depth_estimation_ros.core.families import registry
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.tools.architectures import NYU, tiny_config
from depth_estimation_ros.tools.seeded import ARCHITECTURES, Architecture, dinov2, write_checkpoint

from .conftest import read

Load = Callable[[str], Checkpoint]

SMALL = {'image_size': 70, 'patch_size': 14, 'hidden_size': 32, 'num_hidden_layers': 4,
         'num_attention_heads': 2, 'reshape_hidden_states': False,
         'out_features': [f'stage{stage}' for stage in range(1, 5)]}
"""The settings of a backbone of four layers, whatever its kind."""


def refusal(checkpoint: Checkpoint) -> str:
    """Return what loading says, which must be one line that names the model and its folder."""
    with pytest.raises(CheckpointError) as error:
        load_family(checkpoint)
    text = str(error.value)
    assert checkpoint.name in text and str(checkpoint.folder) in text and '\n' not in text
    return text


def configured(checkpoint: Checkpoint, folder: Path, **changes: Any) -> Checkpoint:
    """Return a copy of a checkpoint with another config.json."""
    shutil.copytree(checkpoint.folder, folder, dirs_exist_ok=True)
    (folder / 'config.json').write_text(json.dumps({**checkpoint.config, **changes}))
    return read_checkpoint(str(folder))


def on(backbone: Any, folder: Path, name: str = 'depth_anything') -> Checkpoint:
    """Write a checkpoint of a family on another backbone."""
    architecture = ARCHITECTURES[name]

    def config() -> Any:
        changed = architecture.config()
        changed.backbone_config = backbone
        return changed

    return read(write_checkpoint(
        Architecture(architecture.model, config, architecture.processor), folder))


@pytest.mark.parametrize('name', ['depth_anything', 'prompt_depth_anything'])
def test_a_backbone_is_not_run_without_its_registers(name: str, tmp_path: Path) -> None:
    backbone = transformers.Dinov2WithRegistersConfig(**SMALL)
    assert "the backbone is 'dinov2_with_registers'" in refusal(on(backbone, tmp_path, name))


def test_nor_are_registers_taken_for_patches(tmp_path: Path) -> None:
    backbone = transformers.Dinov2WithRegistersConfig(**SMALL)
    assert 'register tokens' in refusal(on(backbone, tmp_path, 'dpt_dinov2'))


@pytest.mark.parametrize(('backbone', 'reason'), [
    (transformers.BeitConfig(**SMALL, intermediate_size=64), "the backbone is 'beit'"),
    (dinov2(reshape_hidden_states=True), 'reshape_hidden_states'),
    (dinov2(out_features=['stem', 'stage2', 'stage3', 'stage4']), "out_features name 'stem'"),
    (dinov2(patch_size=7), "patch_size is 14, but the backbone's is 7")],
    ids=['beit', 'maps', 'stem', 'patch'])
def test_a_backbone_that_is_not_as_ours_is_refused(
        backbone: Any, reason: str, tmp_path: Path) -> None:
    assert reason in refusal(on(backbone, tmp_path))


@pytest.mark.parametrize('name', ['dpt', 'dpt_beit', 'glpn', 'depth_anything', 'depth_pro'])
def test_a_network_of_other_images_than_rgb_is_refused(
        name: str, seeded_checkpoint: Load, tmp_path: Path) -> None:
    checkpoint = seeded_checkpoint(name)
    part = next((key for key in ('backbone_config', 'patch_model_config')
                 if checkpoint.config.get(key)), '')
    change = {part: {**checkpoint.config[part], 'num_channels': 1}} if part else {
        'num_channels': 1}
    assert 'num_channels is 1' in refusal(configured(checkpoint, tmp_path, **change))


@pytest.mark.parametrize('backbone', ['dinov2', ['dinov2'], 14], ids=str)
@pytest.mark.parametrize('name', ['dpt', 'depth_anything'])
def test_a_backbone_that_is_no_object_is_refused(
        name: str, backbone: Any, seeded_checkpoint: Load, tmp_path: Path) -> None:
    text = refusal(configured(seeded_checkpoint(name), tmp_path, backbone_config=backbone))
    assert name != 'dpt' or f'backbone_config is {backbone!r}, not an object' in text


def test_heads_of_several_sizes_are_refused(tmp_path: Path) -> None:
    config = tiny_config()
    config.bin_configurations = [NYU, {**NYU, 'name': 'kitti', 'n_bins': 32}]
    torch.manual_seed(0)
    transformers.ZoeDepthForDepthEstimation(config).save_pretrained(tmp_path)
    (tmp_path / 'preprocessor_config.json').write_text('{}')
    assert 'n_bins is 32 and 64' in refusal(read(tmp_path))


@pytest.mark.parametrize('error', [
    AttributeError("'X' object has no attribute 'y'"), ZeroDivisionError('division by zero'),
    OverflowError('cannot convert float infinity to integer'), KeyError('height'),
    RuntimeError("shape '[1, 6, 6, 32]' is invalid\nfor input of size 1536")], ids=repr)
def test_whatever_a_family_stumbles_over_is_one_line(
        error: Exception, seeded_checkpoint: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, 'dpt', _raising(error))
    text = refusal(seeded_checkpoint('dpt'))
    assert f'cannot be used: {type(error).__name__}: {str(error).splitlines()[0]}' in text


def test_a_lack_of_memory_is_not_the_checkpoints_fault(
        seeded_checkpoint: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, 'dpt', _raising(RuntimeError(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")))
    with pytest.raises(RuntimeError, match='allocate'):
        load_family(seeded_checkpoint('dpt'))


def _raising(error: Exception) -> Callable[..., Any]:
    def load(*args: Any) -> Any:
        raise error
    return load
