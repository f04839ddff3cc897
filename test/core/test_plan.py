"""Plans: built once a size, kept within a budget, sound after a failure."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from depth_estimation_ros.core.patches import codes
from depth_estimation_ros.core.plan import Planner

from .conftest import noise, patched_model

SMALL, WIDE, TALL = (64, 96), (64, 160), (128, 64)


@pytest.fixture
def planner() -> Planner:
    return Planner(patched_model())


def expected(pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        depth: Tensor = patched_model()(pixels).predicted_depth
    return depth


def test_metres_are_the_models_own(planner: Planner) -> None:
    pixels = noise(2, *SMALL)
    metres = planner(pixels)
    assert metres.shape == (2, *SMALL) and metres.dtype == torch.float32
    torch.testing.assert_close(metres, expected(pixels), rtol=1e-5, atol=0)


def test_a_size_is_built_once_for_every_batch(planner: Planner) -> None:
    for batch in (1, 4, 2, 1):
        planner(noise(batch, *SMALL))
    assert planner.built == 1 and planner.sizes == [SMALL]


def test_sizes_that_flip_back_and_forth_are_not_rebuilt(planner: Planner) -> None:
    results: dict[tuple[int, int], list[Tensor]] = {SMALL: [], WIDE: [], TALL: []}
    for _ in range(3):
        for size, seen in results.items():
            seen.append(planner(noise(1, *size)).clone())
    assert planner.built == 3
    assert planner.sizes == [SMALL, WIDE, TALL]
    for size, seen in results.items():
        assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])
        torch.testing.assert_close(seen[0], expected(noise(1, *size)), rtol=1e-5, atol=0)


def test_the_size_used_longest_ago_makes_room() -> None:
    sizes = [SMALL, WIDE, TALL]
    unlimited = Planner(patched_model())
    for size in sizes:
        unlimited(noise(1, *size))
    planner = Planner(patched_model(), budget_mb=(unlimited.bytes - 1) / 2**20)
    for size in (SMALL, WIDE, SMALL, TALL):
        planner(noise(1, *size))
    assert planner.sizes == [SMALL, TALL]
    assert planner.bytes < unlimited.bytes
    torch.testing.assert_close(
        planner(noise(1, *WIDE)), expected(noise(1, *WIDE)), rtol=1e-5, atol=0)
    assert planner.built == 4 and WIDE in planner.sizes and SMALL not in planner.sizes


def test_the_newest_size_stays_whatever_the_budget() -> None:
    planner = Planner(patched_model(), budget_mb=0)
    for size in (SMALL, WIDE, WIDE):
        planner(noise(1, *size))
    assert planner.sizes == [WIDE] and planner.built == 2


def test_bytes_are_those_of_the_codes(planner: Planner) -> None:
    assert planner.bytes == 0
    planner(noise(1, *SMALL))
    kept = [code for code in codes(planner.model) if code is not None]
    assert planner.bytes >= sum(code.numel() * code.element_size() for code in kept) > 0


def test_a_size_that_fails_leaves_the_others_sound(
        planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planner(noise(1, *SMALL)).clone()
    head = planner.model.metric_head

    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError('injected')

    with monkeypatch.context() as context:
        context.setattr(head, 'forward', full)
        with pytest.raises(torch.OutOfMemoryError):
            planner(noise(1, *WIDE))
    assert torch.equal(planner(noise(1, *SMALL)), before)
    torch.testing.assert_close(
        planner(noise(1, *WIDE)), expected(noise(1, *WIDE)), rtol=1e-5, atol=0)
    assert planner.sizes == [SMALL, WIDE]


def test_the_network_exports_as_one_graph(planner: Planner) -> None:
    pixels, others = noise(2, *SMALL), noise(2, *SMALL, seed=1)
    planner(pixels)
    with torch.no_grad():
        exported = torch.export.export(planner.model, (pixels,), strict=False).module()
        metres = exported(others).predicted_depth
    torch.testing.assert_close(metres, expected(others), rtol=1e-5, atol=0)
