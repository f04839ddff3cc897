# SPDX-License-Identifier: Apache-2.0
"""The router's own training: it learns, and nothing that gives metres moves."""

from itertools import islice

import pytest

pytest.importorskip('torch')
pytest.importorskip('transformers')

import torch
from transformers import ZoeDepthForDepthEstimation

from training import router
from training.dataset import Batches
from training.model import make_model, router_parameters


@pytest.fixture(scope='module')
def model() -> ZoeDepthForDepthEstimation:
    return make_model(0).eval()


def test_it_looks_at_each_scene_and_at_its_mirror_image(
    model: ZoeDepthForDepthEstimation,
) -> None:
    routes = router.training_routes(model, islice(Batches(2, 1, 64, 96), 2))
    assert routes.heads.tolist() == [0, 0, 1, 1]
    assert len(routes.bottlenecks) == 4
    assert not torch.equal(routes.bottlenecks[0], routes.bottlenecks[1])


def test_it_learns_to_tell_two_kinds_apart_and_moves_nothing_else(
    model: ZoeDepthForDepthEstimation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, 'REPORT_EVERY', 20)
    heads = torch.tensor([0, 1]).repeat(16)
    generator = torch.Generator().manual_seed(0)
    bright = torch.randn(32, 32, 2, 3, generator=generator) + 3 * heads[:, None, None, None]
    routes = router.Routes(bright, heads)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    routing = {id(weight) for weight in router_parameters(model)}
    first = router.measure(model, routes)
    steps = list(router.train(model, routes, 30, 5e-3, seed=0))
    after = router.measure(model, routes)
    assert steps == [20, 30]
    assert after.loss < 0.5 * first.loss and after.routed > 0.9
    assert after.routed == pytest.approx((after.rooms + after.corridors) / 2)
    moved = {id(weight) for name, weight in model.named_parameters()
             if not torch.equal(weight, before[name])}
    assert moved and moved <= routing
