# SPDX-License-Identifier: Apache-2.0
"""What the device did and could do: its time, its peak memory, its floor."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

MEBI = 2**20


def stopwatch(call: Callable[[], Any], device: torch.device) -> float:
    """Return the milliseconds that a call takes until the device has nothing left to do."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return 1e3 * (time.perf_counter() - started)


class PeakMemory:
    """
    The most memory that calls took: on CUDA what torch allocated and what graphs hold for their
    replays, on the CPU what was resident.

    Weights that belong to others in this process do not count.
    """

    def __init__(self, device: torch.device, foreign: int,
                 pool_bytes: Callable[[], int] = lambda: 0) -> None:
        """
        Start with no call seen.

        :param foreign: bytes that others hold on the device in this process.
        :param pool_bytes: tells what graphs hold, which torch counts while it captures alone.
        """
        self._device, self._foreign, self._pool_bytes = device, foreign, pool_bytes
        self._peak = 0

    def over(self, call: Callable[[], Any]) -> Any:
        """Make a call and take note of its peak."""
        self._reset()
        pool = self._pool_bytes()
        result = call()
        self._peak = max(self._peak, self._read() + pool)
        return result

    @property
    def mb(self) -> int | None:
        """The peak of all calls in MiB; None where this system does not tell."""
        return round((self._peak - self._foreign) / MEBI) if self._peak else None

    def _reset(self) -> None:
        if self._device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with suppress(OSError):
            Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM

    def _read(self) -> int:
        if self._device.type == 'cuda':
            return torch.cuda.max_memory_allocated(self._device)
        try:
            status = Path('/proc/self/status').read_text()
        except OSError:
            return 0
        return 1024 * int(status.partition('VmHWM:')[2].split()[0])


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float | None:
    """
    Return the floating-point operations a second of a large matrix product, the best of ten.

    None on the CPU, where torch's product need not reach what the processor can do, so that a
    network may be faster than its floor.
    """
    if device.type != 'cuda':
        return None
    size = 8192
    left = torch.ones(size, size, device=device, dtype=dtype)
    right = torch.ones(size, size, device=device, dtype=dtype)
    best = min(stopwatch(lambda: left @ right, device) for _ in range(10))
    return float(2 * size**3 / (1e-3 * best))


@torch.inference_mode()
def operations(model: torch.nn.Module, pixels: torch.Tensor, **others: torch.Tensor) -> int:
    """Return the floating-point operations of a forward pass, those of its products alone."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(pixel_values=pixels, **others)
    return int(counter.get_total_flops())


def weight_bytes(model: torch.nn.Module) -> int:
    """Return the bytes of a model's weights."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())
