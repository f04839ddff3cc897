# SPDX-License-Identifier: Apache-2.0
"""What a frame brings beside its image, and what of it cannot be used."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from depth_estimation_ros.core.checkpoint import Checkpoint
from depth_estimation_ros.core.errors import ImageError
from depth_estimation_ros.core.families.base import Family, Quantity
from depth_estimation_ros.core.families.card import Card
from depth_estimation_ros.core.families.graph_ports import Port
from depth_estimation_ros.core.families.onnx import OnnxModel
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Depth, Frame

from .test_parity import estimate, picture

Load = Callable[[str], Checkpoint]

PROMPT = np.linspace(1, 4, 192 * 256, dtype=np.float32).reshape(192, 256)


@pytest.fixture
def by_focal_length(seeded_checkpoint: Load) -> list[tuple[Family, Tensor]]:
    """Return each family whose metres go by the focal length, and what its network may give."""
    card = Card(Quantity.METRES, 60, 80, '', '', reference_focal_length=300.0)
    return [(load_family(seeded_checkpoint('depth_pro')), torch.ones(2, 60, 80)),
            (OnnxModel(nn.Identity(), card, Port('image', 'float', None)), torch.ones(60, 80))]


@pytest.mark.parametrize('focal_length', [0.0, -300.0, math.nan, math.inf])
def test_a_focal_length_that_is_none_is_refused(
        focal_length: float, by_focal_length: list[tuple[Family, Tensor]]) -> None:
    frame = Frame(picture(160, 120), focal_length=focal_length)
    for family, values in by_focal_length:
        with pytest.raises(ImageError, match=rf'focal length is {focal_length}, .*None where'):
            family.inputs(torch.from_numpy(frame.image), frame)
        with pytest.raises(ImageError, match='focal length'):
            family.result(values, frame)


def test_who_does_not_ask_for_a_focal_length_takes_any(seeded_checkpoint: Load) -> None:
    family, image = load_family(seeded_checkpoint('depth_anything_metric')), picture(160, 120)
    assert torch.equal(*(estimate(family, Frame(image, each)) for each in (None, math.nan)))


@pytest.mark.parametrize(('prompt', 'reason'), [
    ((PROMPT * 1000).astype(np.uint16), 'uint16, not floating-point metres'),
    ((PROMPT * 1000).astype(np.int32), 'int32, not floating-point metres'),
    (PROMPT > 2, 'bool, not floating-point metres'), (PROMPT[:0], '0x256, not HxW'),
    (PROMPT[0], 'of 256, not HxW'), (np.stack([PROMPT] * 3, -1), '192x256x3, not HxW')],
    ids=lambda given: given if isinstance(given, str) else '')
def test_a_prompt_that_is_no_map_of_metres_is_refused(
        prompt: Depth, reason: str, seeded_checkpoint: Load) -> None:
    family = load_family(seeded_checkpoint('prompt_depth_anything'))
    with pytest.raises(ImageError, match=reason):
        estimate(family, Frame(picture(160, 120), prompt=prompt))


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('height', [192, 96])
def test_a_prompt_may_lie_in_memory_as_it_likes(height: int, seeded_checkpoint: Load) -> None:
    family, image = load_family(seeded_checkpoint('prompt_depth_anything')), picture(160, 120)
    flipped = PROMPT[:height, ::-1]
    locked = flipped.copy()
    locked.setflags(write=False)
    prompts: list[Any] = [flipped.copy(), flipped, locked, np.asfortranarray(flipped),
                          flipped.astype(np.float64)]
    depths = [estimate(family, Frame(image, prompt=prompt)) for prompt in prompts]
    for depth in depths[1:]:
        assert torch.equal(depth, depths[0])
