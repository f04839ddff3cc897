# SPDX-License-Identifier: Apache-2.0
"""The estimator with every family: the family's own depth, in batches, at its precision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from depth_estimation_ros.core.checkpoint import Checkpoint, read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError, ImageError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.recorded import set_position_encodings
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Frame
from depth_estimation_ros.tools.seeded import ARCHITECTURES

from .test_parity import estimate, picture

CAMERAS = ((160, 120, None), (160, 120, 200.0), (96, 80, 99.0))
"""Width, height and focal length in pixels."""

Make = Callable[..., DepthEstimator]


@pytest.fixture
def make(seeded_checkpoint: Callable[[str], Checkpoint]) -> Iterator[Make]:
    made: list[DepthEstimator] = []

    def build(name: str, **options: Any) -> DepthEstimator:
        folder = str(seeded_checkpoint(name).folder)
        made.append(DepthEstimator(EstimatorOptions(
            folder, **{'device': 'cpu', 'backend': 'torch', **options})))
        return made[-1]

    yield build
    for estimator in made:
        estimator.close()


def frames(name: str) -> list[Frame]:
    prompt = np.random.default_rng(1).uniform(0.5, 4.0, (48, 64)).astype(np.float32)
    return [Frame(picture(width, height), focal_length=focal_length,
                  prompt=prompt if name == 'prompt_depth_anything' else None)
            for width, height, focal_length in CAMERAS]


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_a_batch_of_frames_gives_each_its_own_depth(
        name: str, make: Make, seeded_checkpoint: Callable[[str], Checkpoint]) -> None:
    estimator, family = make(name), load_family(seeded_checkpoint(name))
    given = frames(name)
    for depth, frame in zip(estimator.estimate(given), given, strict=True):
        set_position_encodings(family.network, None)
        expected = estimate(family, frame).numpy()
        assert depth.shape == frame.image.shape[:2] and depth.dtype == np.float32
        np.testing.assert_allclose(depth, expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert estimator.range == (family.range or (0.0, float('inf')))
    assert name in estimator.describe() and 'M parameters' in estimator.describe()


@pytest.mark.parametrize('name', ['depth_anything_metric', 'prompt_depth_anything', 'depth_pro'])
def test_flipped_depth_is_the_mean_with_the_mirrored_frame(name: str, make: Make) -> None:
    estimator, frame = make(name), frames(name)[0]
    mirrored = Frame(frame.image[:, ::-1].copy(), prompt=None if frame.prompt is None else (
        frame.prompt[:, ::-1].copy()))
    flipped, = estimator.estimate([frame], flip=True)
    plain, other = estimator.estimate([frame, mirrored])
    np.testing.assert_allclose(flipped, (plain + other[:, ::-1]) / 2, rtol=0.05)


@pytest.mark.parametrize(('name', 'quantity'), [
    ('depth_anything', 'inverse depth'), ('dpt', 'inverse depth'), ('dpt_beit', 'inverse depth')])
def test_a_model_without_metres_is_refused_where_metres_are_asked_for(
        name: str, quantity: str, make: Make) -> None:
    with pytest.raises(CheckpointError, match=f'gives {quantity}, which has no scale'):
        make(name, only_metres=True)
    make('depth_anything_metric', only_metres=True)


def test_depth_pro_without_its_field_of_view_gives_metres_by_a_focal_length_alone(
        seeded_checkpoint: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    shutil.copytree(seeded_checkpoint('depth_pro').folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps({**config, 'use_fov_model': False}))
    estimator = DepthEstimator(EstimatorOptions(
        str(tmp_path), device='cpu', backend='torch', only_metres=True))
    image = picture(160, 120)
    near, far = (estimator.estimate([Frame(image, focal)])[0] for focal in (100.0, 200.0))
    np.testing.assert_allclose(far, 2 * near, rtol=1e-5)
    with pytest.raises(ImageError, match='camera_info'):
        estimator.estimate([image])
    estimator.close()


@pytest.mark.parametrize('name', ['dpt', 'dpt_dinov2'])
def test_weights_that_nothing_reads_may_be_missing_as_in_published_checkpoints(
        name: str, seeded_checkpoint: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    shutil.copytree(seeded_checkpoint(name).folder, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / 'model.safetensors')
    for layer in (0, 1):
        save_file({key: weight for key, weight in weights.items() if not key.startswith(
            f'neck.fusion_stage.layers.{layer}.residual_layer1')},
            tmp_path / 'model.safetensors', {'format': 'pt'})
        if layer == 1:
            with pytest.raises(CheckpointError, match='lacks 4 of the weights'):
                load_family(read_checkpoint(str(tmp_path)))
            break
        depths = [estimate(load_family(read), Frame(picture(160, 120))) for read in (
            seeded_checkpoint(name), read_checkpoint(str(tmp_path)))]
        assert torch.equal(*depths)


@pytest.mark.parametrize('name', ['depth_anything_metric', 'glpn', 'dpt_dinov2'])
def test_a_low_precision_is_near_and_keeps_what_must_stay(name: str, make: Make) -> None:
    estimator = make(name, precision='bf16')
    weights = {weight.dtype for weight in estimator.loaded.planner.model.parameters()}
    assert estimator.precision == 'bf16' and torch.bfloat16 in weights
    assert (torch.float32 in weights) == bool(estimator.family.float32)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['depth_anything_metric', 'glpn'])
def test_openvino_serves_other_families_too(name: str, make: Make) -> None:
    pytest.importorskip('openvino', reason='openvino is not installed')
    reference, estimator = make(name), make(name, backend='openvino')
    image = picture(640, 480)
    assert estimator.settle(120.0)
    if estimator.backend == 'openvino':
        np.testing.assert_allclose(estimator.estimate([image])[0],
                                   reference.estimate([image])[0], rtol=1e-3)
