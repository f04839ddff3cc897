# SPDX-License-Identifier: Apache-2.0
"""One metric head for every image, as if the model had chosen it each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from depth_estimation_ros.core.backends.openvino import openvino_backend
from depth_estimation_ros.core.checkpoint import read_checkpoint
from depth_estimation_ros.core.domains import PATIENCE
from depth_estimation_ros.core.errors import CheckpointError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.frame import Frame, Image

from ..conftest import noise, stock_model

DOMAINS = {'nyu': 10.0, 'kitti': 80.0}
"""The two heads, and how far in metres they see."""


def always_choosing(head: int, bins: str) -> nn.Module:
    """Return transformers' model with a router that knows one answer."""
    model: Any = deepcopy(stock_model(2, bins))
    last = model.metric_head.mlp_classifier.linear2
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.nn.functional.one_hot(torch.tensor(head), 2) * 100)
    chosen: nn.Module = model
    return chosen


@pytest.mark.parametrize('bins', ['softplus', 'normed'])
@pytest.mark.parametrize(('head', 'domain'), enumerate(DOMAINS))
@torch.no_grad()
def test_a_pinned_domain_gives_its_heads_metres(
        checkpoint_of: Callable[..., Path], head: int, domain: str, bins: str) -> None:
    family = load_family(read_checkpoint(str(checkpoint_of(2, bins))), domain=domain)
    pixels = noise(1, 96, 128)
    output: Any = family.network(pixels)
    depth: Tensor = output.predicted_depth
    wanted = always_choosing(head, bins)(pixels).predicted_depth
    torch.testing.assert_close(depth, wanted, rtol=1e-4, atol=0)
    assert family.range == (0.001, DOMAINS[domain])


def test_the_other_heads_weights_are_released(checkpoint_of: Callable[..., Path]) -> None:
    def weights(domain: str) -> int:
        family = load_family(read_checkpoint(str(checkpoint_of())), domain=domain)
        return sum(each.numel() for each in (*family.network.parameters(),
                                             *family.network.buffers()))

    assert weights('kitti') < weights('auto')


@pytest.mark.parametrize(('heads', 'named'), [(2, 'has nyu, kitti'), (1, 'none to choose from')])
def test_a_domain_that_a_model_has_not_is_refused(
        checkpoint_of: Callable[..., Path], heads: int, named: str) -> None:
    with pytest.raises(CheckpointError, match=f"domain is 'moon': .*{named}"):
        load_family(read_checkpoint(str(checkpoint_of(heads))), domain='moon')
    estimator = DepthEstimator(EstimatorOptions(
        model=str(checkpoint_of(heads)), device='cpu', backend='torch'))
    with pytest.raises(CheckpointError, match=named):
        estimator.check(EstimatorOptions(domain='moon'))
    estimator.close()


@pytest.mark.slow
@pytest.mark.skipif(find_spec('openvino') is None, reason='openvino is not installed')
def test_openvino_serves_the_pinned_domain(checkpoint_of: Callable[..., Path]) -> None:
    network: Any = load_family(read_checkpoint(str(checkpoint_of())), domain='kitti').network
    pixels = noise(1, 96, 128)
    built = openvino_backend(checkpoint_of(), 'kitti').build(network, pixels, Event())
    with torch.no_grad():
        torch.testing.assert_close(
            built(pixels), network(pixels).predicted_depth, rtol=1e-4, atol=0)


class Chooser(nn.Module):
    """A router that prefers what it is told, image after image of a batch."""

    def __init__(self, *heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, bottleneck: Tensor) -> Tensor:
        heads = (self.heads * len(bottleneck))[:len(bottleneck)]
        return torch.nn.functional.one_hot(torch.tensor(heads), 2).float()


Choosing = Callable[..., DepthEstimator]


@pytest.fixture
def choosing(checkpoint_of: Callable[..., Path]) -> Iterator[Choosing]:
    """Return an estimator, and one each of the pinned domains, that chooses as it is told."""
    made: list[DepthEstimator] = []

    def make(domain: str = 'auto', bins: str = 'softplus',
             precision: str = 'fp32') -> DepthEstimator:
        made.append(DepthEstimator(EstimatorOptions(
            model=str(checkpoint_of(2, bins)), device='cpu', backend='torch', domain=domain,
            precision=precision)))
        assert made[-1].precision == precision
        return made[-1]

    yield make
    for estimator in made:
        estimator.close()


def choose(estimator: DepthEstimator, *heads: int) -> None:
    network: Any = estimator.family.network
    network.metric_head.router = Chooser(*heads)


def picture(seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize(('bins', 'precision'), [
    ('softplus', 'fp32'), ('normed', 'fp32'), ('softplus', 'bf16')])
def test_a_camera_keeps_its_head_while_the_preference_flips(
        choosing: Choosing, bins: str, precision: str, flip: bool) -> None:
    estimator = choosing(bins=bins, precision=precision)
    depth = {domain: choosing(domain, bins, precision).estimate([picture()], flip=flip)[0]
             for domain in DOMAINS}
    assert not np.allclose(depth['nyu'], depth['kitti'], rtol=1e-3)

    def served(camera: str | None, head: int) -> str:
        choose(estimator, head)
        found, = estimator.estimate([Frame(picture(), camera=camera)], flip=flip)
        return next(domain for domain, expected in depth.items()
                    if np.allclose(found, expected, rtol=1e-5))

    assert [served('front', head) for head in (0, 1, 0, 1, 1)] == ['nyu'] * 5
    assert served('rear', 1) == 'kitti'
    assert [served(None, head) for head in (0, 1, 0)] == ['nyu', 'kitti', 'nyu']
    assert estimator.domain_of('front') == ('nyu', 0)
    assert [served('front', 1) for _ in range(PATIENCE)][-1] == 'kitti'
    assert estimator.domain_of('front') == ('kitti', 1)
    assert estimator.domain_of('side') == ('', 0)


def test_of_a_batch_only_the_image_that_flipped_is_served_by_the_held_head(
        choosing: Choosing) -> None:
    estimator, nyu = choosing(), choosing('nyu')
    views = [Frame(picture(seed), camera=f'camera {seed}') for seed in range(3)]
    choose(estimator, 0)
    before = estimator.estimate(views)
    choose(estimator, 0, 1, 0)
    for first, second, expected in zip(before, estimator.estimate(views), nyu.estimate(views),
                                       strict=True):
        np.testing.assert_allclose(first, expected, rtol=1e-4)
        np.testing.assert_allclose(second, expected, rtol=1e-4)


def test_a_mirror_image_that_prefers_another_head_is_not_averaged_in(choosing: Choosing) -> None:
    estimator, nyu = choosing(), choosing('nyu')
    choose(estimator, 0, 1)
    found, = estimator.estimate([Frame(picture(), camera='')], flip=True)
    np.testing.assert_allclose(found, nyu.estimate([picture()], flip=True)[0], rtol=1e-5)


def test_a_preference_that_is_not_finite_changes_nothing(choosing: Choosing) -> None:
    estimator = choosing()
    choose(estimator, 1)
    estimator.estimate([Frame(picture(), camera='')])
    network: Any = estimator.family.network
    network.metric_head.router = Lost()
    depth, = estimator.estimate([Frame(picture(), camera='')])
    assert depth.shape == (48, 64) and estimator.domain_of('') == ('kitti', 0)


class Lost(nn.Module):
    """A router of a damaged network."""

    def forward(self, bottleneck: Tensor) -> Tensor:
        return torch.full((len(bottleneck), 2), torch.nan)
