# SPDX-License-Identifier: Apache-2.0
"""The patched network against transformers' own: same metres, one graph, no sync."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.models.beit.modeling_beit import BeitRelativePositionBias

from depth_estimation_ros.core.families.recorded import position_encodings, set_position_encodings
from depth_estimation_ros.core.families.zoedepth import patch
from depth_estimation_ros.tools.architectures import seeded_model, tiny_config

from ..conftest import SEEDS, noise, patched_model, stock_model

SYNCS = ('item', 'cpu', 'tolist', 'numpy', 'nonzero', 'is_nonzero', '__bool__', '__int__',
         '__float__', '__index__')
"""The methods of a tensor that wait for the device and read a value."""

EVERY_HEAD = pytest.mark.parametrize(('heads', 'bins'), [
    (1, 'softplus'), (1, 'normed'), (2, 'softplus'), (2, 'normed')])


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.no_grad():
        yield


def metres(model: Callable[..., Any], pixels: Tensor) -> Tensor:
    depth: Tensor = model(pixels).predicted_depth
    return depth


def relative(depth: Tensor, reference: Tensor) -> float:
    return float(((depth - reference) / reference).abs().max())


def recorded_model(pixels: Tensor, heads: int = 2) -> nn.Module:
    """Return a patched model that has its position encodings."""
    model = patched_model(heads)
    model(pixels[:1])
    return model


@contextmanager
def no_sync(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail on any method that reads a tensor's value."""
    def forbid(name: str) -> Callable[..., None]:
        def fail(*args: Any, **kwargs: Any) -> None:
            pytest.fail(f'Tensor.{name} waits for the device')
        return fail

    with monkeypatch.context() as context:
        for name in SYNCS:
            context.setattr(Tensor, name, forbid(name))
        yield


class HostWatch(TorchDispatchMode):
    """Collects the operations that touch a tensor in the host's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if torch.is_tensor(leaf)]
        if any(tensor.device.type == 'cpu' for tensor in tensors):
            self.seen.add(str(func))
        return result


@EVERY_HEAD
def test_metres_and_domains_are_those_of_transformers(heads: int, bins: str) -> None:
    pixels = noise(1, 96, 160)
    ours, stock = patched_model(heads, bins)(pixels), stock_model(heads, bins)(pixels)
    assert relative(ours.predicted_depth, stock.predicted_depth) <= 1e-5
    if heads > 1:
        torch.testing.assert_close(ours.domain_logits, stock.domain_logits)
    else:
        assert ours.domain_logits is None and stock.domain_logits is None


@EVERY_HEAD
@pytest.mark.parametrize('seed', range(5))
def test_we_are_as_near_to_the_exact_result_as_transformers(
        heads: int, bins: str, seed: int) -> None:
    stock, pixels = stock_model(heads, bins, seed), noise(1, 64, 96, seed)
    exact = metres(deepcopy(stock).double(), pixels.double())
    error = relative(metres(patched_model(heads, bins, seed), pixels), exact)
    assert error <= 3 * relative(metres(stock, pixels), exact) + 1e-6


@pytest.mark.parametrize('bins', ['softplus', 'normed'])
def test_attractors_that_add_up_are_those_of_transformers(bins: str) -> None:
    config = tiny_config(1, bins)
    config.attractor_kind = 'sum'
    stock, pixels = seeded_model(config), noise(1, 64, 96)
    expected = metres(stock, pixels)
    assert relative(metres(patch(seeded_model(config)), pixels), expected) <= 1e-5


def test_what_is_replaced_is_released() -> None:
    original: Any = deepcopy(stock_model())
    patched = patch(original)
    names = ' '.join(name for name, _ in patched.named_parameters())
    assert not any(old in names for old in ('lambda_', 'q_proj', 'query', 'o_proj'))
    held = sum(tensor.nbytes for tensor in (*patched.parameters(), *patched.buffers()))
    assert held <= 1.1 * sum(weight.nbytes for weight in stock_model().parameters())


def test_recorded_encodings_change_nothing() -> None:
    model, pixels = patched_model(), noise(1, 64, 96)
    first = metres(model, pixels)
    assert all(encoding is not None for encoding in position_encodings(model))
    assert torch.equal(metres(model, pixels), first)


def test_positions_of_the_models_own_size_are_recorded_too() -> None:
    model, pixels = patched_model(), noise(1, 64, 64)
    assert relative(metres(model, pixels), metres(stock_model(), pixels)) <= 1e-5
    assert all(encoding is not None for encoding in position_encodings(model))


def test_the_bias_is_that_of_transformers_to_the_bit() -> None:
    stock, ours = stock_model(), patched_model()
    biases = []
    for model in (stock, ours):
        module = next(m for m in model.modules() if isinstance(m, BeitRelativePositionBias))
        biases.append(module((4, 6), interpolate_pos_encoding=False, dim_size=96))
    assert torch.equal(*biases)
    assert biases[1].stride(-2) % 8 == 0


def test_encodings_are_computed_for_the_first_frame_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    stock_forward = BeitRelativePositionBias.forward

    def counted(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        calls.append(self)
        bias: Tensor = stock_forward(self, *args, **kwargs)
        return bias

    monkeypatch.setattr(BeitRelativePositionBias, 'forward', counted)
    model = patched_model()
    for seed in range(3):
        model(noise(1 + seed, 64, 96, seed))
    assert len(calls) == len(set(map(id, calls))) == 4


def test_encodings_of_one_image_serve_a_batch() -> None:
    pixels = noise(3, 64, 96)
    model = recorded_model(pixels)
    fresh = patched_model()
    assert relative(metres(model, pixels), metres(fresh, pixels)) <= 1e-6


def test_forgotten_encodings_are_recorded_anew_at_another_size() -> None:
    model = patched_model()
    for height, width in ((64, 96), (96, 64)):
        set_position_encodings(model, None)
        pixels = noise(1, height, width)
        assert relative(metres(model, pixels), metres(stock_model(), pixels)) <= 1e-5


def test_other_models_in_the_process_stay_as_they_are() -> None:
    other, pixels = deepcopy(stock_model()), noise(1, 64, 96)
    kinds = [type(module) for module in other.modules()]
    before = metres(other, pixels)
    metres(patched_model(), pixels)
    assert torch.equal(metres(other, pixels), before)
    assert [type(module) for module in other.modules()] == kinds
    assert not any('depth_estimation_ros' in kind.__module__ for kind in kinds)
    fresh = seeded_model(tiny_config(), SEEDS[2, 'softplus'])
    assert torch.equal(metres(fresh, pixels), before)


def rivals(bins: str = 'normed') -> tuple[nn.Module, nn.Module, Tensor]:
    """Return stock and ours with two images that belong to different heads."""
    stock, candidates = deepcopy(stock_model(2, bins)), noise(6, 64, 96)
    logits = torch.cat([stock(image[None]).domain_logits for image in candidates])
    lead = logits[:, 1] - logits[:, 0]
    first, second = int(lead.argmin()), int(lead.argmax())
    middle = lead[first] + (lead[second] - lead[first]) / 3
    head: Any = stock.metric_head
    head.mlp_classifier.linear2.bias[1] -= middle
    return stock, patch(deepcopy(stock)), candidates[[first, second]]


@pytest.mark.parametrize('bins', ['softplus', 'normed'])
def test_each_image_of_a_batch_takes_its_own_head(bins: str) -> None:
    stock, ours, images = rivals(bins)
    singles = [metres(stock, image[None]) for image in images]
    batch = ours(images)
    assert batch.domain_logits.argmax(dim=-1).tolist() == [0, 1]
    for depth, single in zip(batch.predicted_depth, singles, strict=True):
        assert relative(depth, single[0]) <= 1e-5


def test_transformers_would_have_taken_one_head_for_both() -> None:
    stock, _, images = rivals()
    mixed = metres(stock, images)
    errors = [relative(depth, metres(stock, image[None])[0])
              for depth, image in zip(mixed, images, strict=True)]
    assert min(errors) < 1e-5 and max(errors) > 0.1


@pytest.mark.parametrize('heads', [1, 2])
def test_the_forward_pass_reads_no_value(heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(2, 64, 96)
    model = recorded_model(pixels, heads)
    with no_sync(monkeypatch):
        metres(model, pixels)


def test_transformers_reads_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(2, 64, 96)
    with no_sync(monkeypatch), pytest.raises(pytest.fail.Exception, match='item waits'):
        metres(stock_model(), pixels)


@pytest.mark.parametrize('heads', [1, 2])
def test_the_forward_pass_touches_nothing_on_the_host(heads: int) -> None:
    pixels = noise(2, 64, 96)
    model = recorded_model(pixels, heads)
    on_device = [None if one is None else one.to('meta') for one in position_encodings(model)]
    model, pixels = model.to('meta'), pixels.to('meta')
    set_position_encodings(model, on_device)
    with HostWatch() as watch:
        metres(model, pixels)
    assert not watch.seen


def test_transformers_indexes_the_device_from_the_host() -> None:
    model, pixels = deepcopy(stock_model(1)).to('meta'), noise(1, 64, 96).to('meta')
    with HostWatch() as watch:
        metres(model, pixels)
    assert 'aten.index.Tensor' in watch.seen


def test_the_network_compiles_as_one_graph() -> None:
    graphs = []

    def count(graph: Any, example: list[Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    pixels = noise(2, 64, 96)
    model = recorded_model(pixels)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend=count)
    assert relative(metres(compiled, pixels), metres(model, pixels)) <= 1e-6
    assert len(graphs) == 1


def test_transformers_does_not_export() -> None:
    with pytest.raises(Exception, match='data-dependent'):
        torch.export.export(stock_model(), (noise(2, 64, 96),), strict=False)
