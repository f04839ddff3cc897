# SPDX-License-Identifier: Apache-2.0
"""Contenders that take turns, so that whatever else the machine does falls on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from .rival_process import RivalError

PAUSE = 0.02
"""Seconds between contenders, in which the last one's threads go to sleep."""

FEWEST = 3
"""Rounds of which a median is still taken, whatever the time they cost."""

BURST = 100.0
"""Milliseconds that a contender's turn takes where one call is shorter, after a first call, on
cold caches and sleeping threads, that does not count."""

Contenders = dict[str, Callable[[], float]]
"""By name, what makes one call and returns its milliseconds."""


def take_turns(contenders: Contenders, repeats: int,
               seconds: float) -> tuple[dict[str, list[float]], dict[str, str]]:
    """
    Time contenders in turn, round after round, after one round that does not count.

    :param repeats: the most rounds.
    :param seconds: the time to keep to, but for the fewest rounds.
    :return: milliseconds by contender, and by contender that failed the reason.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    faults: dict[str, str] = {}
    started = time.monotonic()
    for done in range(repeats + 1):
        spent = time.monotonic() - started
        if done > min(FEWEST, repeats) and spent * (done + 1) / done > seconds:
            break
        for name in [name for name in contenders if name not in faults]:
            time.sleep(PAUSE)
            try:
                calls = _turn(contenders[name]) if done else [contenders[name]()]
            except (RivalError, torch.OutOfMemoryError) as error:
                faults[name] = str(error)
                continue
            if done:
                times[name] += calls
    return {name: values for name, values in times.items() if name not in faults}, faults


def _turn(call: Callable[[], float]) -> list[float]:
    first = call()
    return [call() for _ in range(max(int(BURST / max(first, BURST / 10)), 1))]
