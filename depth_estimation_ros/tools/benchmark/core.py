# SPDX-License-Identifier: Apache-2.0
"""The estimator beside transformers by hand and its pipeline, taking turns in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .bench import Case, open_bench
from .models import NoModelError, checkpoint
from .published import PUBLISHED
from .reference import Reference

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long."""

    device: torch.device
    precisions: list[str]
    models: list[str]
    sizes: list[str]
    batches: list[int] | None
    """None is what suits the model and the device."""
    repeats: int
    """The most rounds a row."""
    seconds: float
    """The time to keep to, shared by the rows."""
    rival_python: Path
    """The interpreter for transformers' pipeline."""
    backend: str = 'auto'
    """Of ours, as the estimator's option."""
    compiles: bool = False
    """Whether ours builds with torch.compile too."""


def cases(plan: Plan, model: str) -> list[Case]:
    """Return the cases of a model: all, or few of a large one on the CPU unless asked."""
    if plan.batches is None and plan.device.type == 'cpu' and model in ('full', *PUBLISHED):
        return [*(Case(size, 1) for size in plan.sizes), Case(plan.sizes[0], 2)]
    return [Case(size, batch) for size in plan.sizes for batch in plan.batches or (1, 2, 4, 8)]


def measure_core(plan: Plan, say: Say) -> list[dict[str, Any]]:
    """
    Measure every model, precision, size and batch of a plan.

    :param say: called with each row's outcome, and with what was left out and why.
    :return: the rows of core.json.
    """
    rows: list[dict[str, Any]] = []
    deadline = time.monotonic() + plan.seconds
    for index, name in enumerate(plan.models):
        share = (deadline - time.monotonic()) / (len(plan.models) - index)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                folder = checkpoint(name, Path(scratch))
            except NoModelError as error:
                say(f'{name} is left out: {error}')
                continue
            rows += _measure_model(plan, name, folder, Path(scratch), share, say)
    return rows


def _measure_model(plan: Plan, name: str, folder: Path, scratch: Path, seconds: float,
                   say: Say) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    reference = Reference(folder, plan.device)
    rows: list[dict[str, Any]] = []
    ahead = len(plan.precisions) * len(cases(plan, name))
    for precision in plan.precisions:
        with open_bench(folder, plan.device, precision, reference, plan.rival_python,
                        plan.backend, plan.compiles, say) as bench:
            if bench.estimator.precision != precision:
                say(f'{name} in {precision} is left out: its depth is too far from fp32')
                continue
            for case in cases(plan, name):
                left = deadline - time.monotonic()
                if left <= 0:
                    say(f'{name} {precision} {case.size} batch {case.batch} is left out: the '
                        'time is spent (--seconds)')
                    continue
                rows.append(bench.row(name, case, scratch, repeats=plan.repeats,
                                      seconds=left / max(ahead - len(rows), 1)))
                say(_progress(rows[-1]))
    return rows


def _progress(row: dict[str, Any]) -> str:
    return (f'{row["model"]} {row["precision"]} {row["size"]} batch {row["batch"]}: '
            f'{row["ours_ms"]} ms, {row["calls"]} calls')
