# SPDX-License-Identifier: Apache-2.0
"""Batches run on their own device, whichever another estimator made current."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from depth_estimation_ros.core.batches import BatchRunner
from depth_estimation_ros.core.frame import Frame

FRAME = Frame(np.zeros((48, 64, 3), np.uint8))


class TakenError(Exception):
    """The device was made current, before anything else."""


@pytest.mark.parametrize('work', [
    lambda runner: runner.run(Mock(), [FRAME], [0], (96, 128), False),
    lambda runner: runner.through(Mock(), FRAME, 0, False),
    lambda runner: runner.prepare(Mock(), FRAME)], ids=['run', 'through', 'prepare'])
def test_the_device_is_made_current_first(
        work: Callable[[BatchRunner], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    second = torch.device('cuda', 1)

    def take(device: torch.device) -> None:
        assert device == second
        raise TakenError

    monkeypatch.setattr(torch.cuda, 'set_device', take)
    with pytest.raises(TakenError):
        work(BatchRunner(second, Mock()))
