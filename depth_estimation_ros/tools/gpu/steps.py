# SPDX-License-Identifier: Apache-2.0
"""The steps by name, each with the longest that it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .correctness import correctness
from .figures import figures, kernels
from .memory import close, memory, out_of_memory
from .stress import collection, failing_capture, rebuilds


@dataclass(frozen=True)
class Step:
    """What is run, with a checkpoint's folder, a device, and whether quickly."""

    run: Callable[[Path, torch.device, bool], dict[str, Any]]
    seconds: float


STEPS = {
    'correctness': Step(correctness, 90), 'close': Step(close, 60),
    'memory': Step(memory, 60), 'rebuilds': Step(rebuilds, 150),
    'collection': Step(collection, 90), 'failing_capture': Step(failing_capture, 45),
    'out_of_memory': Step(out_of_memory, 45), 'figures': Step(figures, 120),
    'kernels': Step(kernels, 45),
}
