# SPDX-License-Identifier: Apache-2.0
"""How many of the network's pixels an image's becomes, against what the network is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from depth_estimation_ros.core.checkpoint import Checkpoint, read_checkpoint
from depth_estimation_ros.core.families.base import Family, Quantity, Size
from depth_estimation_ros.core.families.card import Card
from depth_estimation_ros.core.families.graph_ports import Port
from depth_estimation_ros.core.families.onnx import OnnxModel
from depth_estimation_ros.core.families.preprocessing import Letterboxed
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.families.single_image import SingleImage
from depth_estimation_ros.core.frame import Frame

IMAGES = ((192, 256), (120, 250), (250, 200))
"""Height and width; 250 columns at most, so that a ramp has a grey level for each."""


def grey_levels(family: Family, image: np.ndarray) -> torch.Tensor:
    """Return the middle row of what the network is given, in the image's grey levels."""
    black, white = (np.full_like(image, level) for level in (0, 255))
    low, high, given = (family.inputs(torch.from_numpy(each), Frame(each))[0]
                        for each in (black, white, image))
    row = given.shape[0] // 2
    return 255 * (given - low)[row] / (high - low)[row]


def measured(family: Family, height: int, width: int) -> float:
    """Return how far apart the network sees two columns of an image, by a ramp of grey."""
    ramp = np.broadcast_to(np.arange(width, dtype=np.uint8)[None, :, None],
                           (height, width, 3)).copy()
    seen = grey_levels(family, ramp)
    within = torch.nonzero((seen > 0.25 * width) & (seen < 0.75 * width)).flatten()
    first, last = int(within[0]), int(within[-1])
    return (last - first) / float(seen[last] - seen[first])


@pytest.mark.parametrize('name', ['depth_anything_metric', 'dpt_dinov2', 'glpn'])
@pytest.mark.parametrize(('height', 'width'), IMAGES)
def test_it_is_that_of_the_pixels(seeded_checkpoint: Callable[[str], Checkpoint], name: str,
                                  height: int, width: int) -> None:
    family = load_family(seeded_checkpoint(name))
    assert family.magnification(height, width) == pytest.approx(
        measured(family, height, width), rel=0.02)


@pytest.mark.parametrize(('height', 'width'), IMAGES)
def test_zoedepths_padding_is_counted(checkpoint_of: Callable[..., Path], height: int,
                                      width: int) -> None:
    family = load_family(read_checkpoint(str(checkpoint_of())))
    assert family.magnification(height, width) == pytest.approx(
        measured(family, height, width), rel=0.02)


def test_borders_are_not_counted() -> None:
    family = SingleImage(nn.Identity(), Letterboxed(size=Size(100, 200)), Quantity.METRES)
    assert family.magnification(200, 200) == pytest.approx(0.5)
    assert measured(family, 200, 200) == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize('name', ['depth_pro', 'prompt_depth_anything'])
def test_there_is_none_where_metres_do_not_go_by_the_lens(
        seeded_checkpoint: Callable[[str], Checkpoint], name: str) -> None:
    assert load_family(seeded_checkpoint(name)).magnification(120, 160) is None


@pytest.mark.parametrize(('said', 'expected'), [
    ({}, 0.5), ({'reference_focal_length': 300.0}, None),
    ({'estimates_focal_length': True}, None)])
def test_a_card_says_which(said: dict[str, Any], expected: float | None) -> None:
    card = Card(Quantity.METRES, 60, 80, '', '', **said)
    model = OnnxModel(nn.Identity(), card, Port('image', 'float', None))
    assert model.magnification(120, 160) == expected
