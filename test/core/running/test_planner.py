# SPDX-License-Identifier: Apache-2.0
"""Plans: built once a size, kept within a budget, sound after a failure."""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import Any

import pytest
import torch
from torch import Tensor

from depth_estimation_ros.core.backends import Backend
from depth_estimation_ros.core.families.recorded import position_encodings
from depth_estimation_ros.core.running import room
from depth_estimation_ros.core.running.planner import Planner
from depth_estimation_ros.core.running.shape import Shape, largest_batch

from ..conftest import always, noise, patched_model, scaled

SMALL, WIDE, TALL = (64, 96), (64, 160), (128, 64)
PATIENCE = 60.0


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


def test_the_size_used_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, 'IN_USE', 0.0)
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


def test_the_newest_size_stays_whatever_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, 'IN_USE', 0.0)
    planner = Planner(patched_model(), budget_mb=0)
    for size in (SMALL, WIDE, WIDE):
        planner(noise(1, *size))
    assert planner.sizes == [WIDE] and planner.built == 2


def test_bytes_are_those_of_the_codes(planner: Planner) -> None:
    assert planner.bytes == 0
    planner(noise(1, *SMALL))
    kept = [code for code in position_encodings(planner.model) if code is not None]
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


def test_frames_are_served_while_it_builds() -> None:
    gate = Event()
    backend = scaled(1.0005)
    slow = Backend('slow', lambda *job: (gate.wait(PATIENCE), backend.build(*job))[1], False)
    planner = Planner(patched_model(), backends=[slow], measure=always(2.0))
    pixels = noise(1, *SMALL)
    plain = planner(pixels).clone()
    assert torch.equal(planner(pixels), plain) and planner.backend == 'torch'
    gate.set()
    assert planner.settle(PATIENCE) and planner.backend == 'slow'
    torch.testing.assert_close(planner(pixels), plain * 1.0005)


def test_a_batch_is_put_together_of_the_networks_for_1_2_4_images() -> None:
    built: list[Any] = []
    planner = Planner(patched_model(), backends=[scaled(1.0005, built)],
                      measure=always(2.0))
    pixels = noise(7, *SMALL)
    plain = planner(pixels).clone()
    assert planner.settle(PATIENCE)
    assert [shape[0] for shape in built] == [1, 2, 4]
    for batch in (7, 3, 1, 6):
        torch.testing.assert_close(
            planner(pixels[:batch]), plain[:batch] * 1.0005, rtol=1e-5, atol=0)
    assert planner.settle(PATIENCE) and len(built) == 3


def test_a_network_for_a_batch_must_beat_those_for_its_parts() -> None:
    gains = iter([2.0, 1.0])
    planner = Planner(patched_model(), backends=[scaled(1.0005)],
                      measure=lambda used, other, pixels: next(gains))
    plain = planner(noise(3, *SMALL)).clone()
    assert planner.settle(PATIENCE)
    torch.testing.assert_close(planner(noise(3, *SMALL)), plain * 1.0005, rtol=1e-5, atol=0)
    network = planner._built.network(Shape(3, *SMALL))
    assert isinstance(network, partial) and list(network.args[0]) == [1]


def test_a_shape_is_built_once_and_forgotten_with_its_size(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, 'IN_USE', 0.0)
    built: list[Any] = []
    planner = Planner(patched_model(), budget_mb=0, backends=[scaled(1.0, built)],
                      measure=always(2.0))
    for size in (SMALL, SMALL, WIDE, SMALL):
        planner(noise(1, *size))
        assert planner.settle(PATIENCE)
    assert [shape[2:] for shape in built] == [SMALL, WIDE, SMALL]


def test_copies_count_and_are_not_made_beyond_the_budget() -> None:
    built: list[Any] = []
    planner = Planner(patched_model(), backends=[scaled(1.0, built, copies=True)],
                      measure=always(2.0))
    planner(noise(1, *SMALL))
    codes = planner.bytes
    assert planner.settle(PATIENCE)
    weights = sum(weight.nbytes for weight in planner.model.parameters())
    assert planner.bytes == codes + weights + codes and built
    tight = Planner(patched_model(), budget_mb=(planner.bytes - 1) / 2**20,
                    backends=[scaled(1.0, built, copies=True)], measure=always(2.0))
    tight(noise(1, *SMALL))
    assert tight.settle(PATIENCE) and len(built) == 1 and tight.backend == 'torch'


def test_nothing_is_built_unless_asked_for() -> None:
    planner = Planner(patched_model())
    planner(noise(1, *SMALL))
    assert planner.settle(0) and planner.backend == 'torch'


def test_a_size_is_made_ready_beside_the_work() -> None:
    built: list[Any] = []
    planner = Planner(patched_model(), backends=[scaled(1.0005, built)], measure=always(2.0))
    for size in (WIDE, WIDE):
        planner.prepare_size(size)
    assert planner.settle(PATIENCE)
    assert planner.sizes == [WIDE] and built == [(1, 3, *WIDE)] and planner.built == 1
    pixels = noise(1, *WIDE)
    torch.testing.assert_close(planner(pixels), expected(pixels) * 1.0005, rtol=1e-5, atol=0)
    assert planner.built == 1 and planner.backend == 'scaled'


def test_a_size_made_ready_is_the_first_to_make_room() -> None:
    planner = Planner(patched_model(), budget_mb=0)
    before = planner(noise(1, *SMALL)).clone()
    planner.prepare_size(WIDE)
    assert planner.settle(PATIENCE) and planner.sizes == [WIDE, SMALL]
    assert torch.equal(planner(noise(1, *SMALL)), before) and planner.sizes == [SMALL]


def test_large_images_run_in_smaller_batches() -> None:
    sizes = [(96, 128), (384, 512), (384, 544), (384, 1152), (768, 1024), (2048, 2048)]
    assert [largest_batch(size) for size in sizes] == [8, 8, 4, 2, 2, 1]


def test_of_two_sizes_in_turn_that_do_not_fit_one_is_built_once_and_one_is_not_kept(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    planner = Planner(patched_model(), budget_mb=0)
    for seed in range(4):
        for size in (SMALL, WIDE):
            pixels = noise(2, *size, seed)
            torch.testing.assert_close(planner(pixels), expected(pixels), rtol=1e-5, atol=0)
            assert planner.sizes == [SMALL]
    assert planner.built == 1
    warning, = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    assert '96x64 and 160x64' in warning and "'network.height'" in warning
    monkeypatch.setattr(room, 'IN_USE', 0.0)  # as some seconds later, without the first camera
    planner(noise(1, *WIDE))
    assert planner.sizes == [WIDE]
