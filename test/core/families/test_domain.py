"""One metric head for every image, as if the model had chosen it each time."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from depth_estimation_ros.core.backends.openvino import openvino_backend
from depth_estimation_ros.core.checkpoint import read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.registry import load_family

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


def test_openvino_serves_the_pinned_domain(checkpoint_of: Callable[..., Path]) -> None:
    network: Any = load_family(read_checkpoint(str(checkpoint_of())), domain='kitti').network
    pixels = noise(1, 96, 128)
    built = openvino_backend(checkpoint_of(), 'kitti').build(network, pixels, Event())
    with torch.no_grad():
        torch.testing.assert_close(
            built(pixels), network(pixels).predicted_depth, rtol=1e-4, atol=0)
