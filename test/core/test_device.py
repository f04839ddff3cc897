"""The device: one that is not there is refused, and not replaced."""

from __future__ import annotations

import pytest
import torch

from depth_estimation_ros.core.device import resolve_device
from depth_estimation_ros.core.errors import DeviceError


@pytest.mark.parametrize('device', ['cuda', 'cuda:0', 'cuda:7'])
def test_cuda_that_is_not_there_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    with pytest.raises(DeviceError, match=f"'{device}' is not on this machine.* 0 CUDA"):
        resolve_device(device)


@pytest.mark.parametrize('device', ['', 'gpu', 'cuda:x', 'meta', 'mps'])
def test_another_device_is_refused(device: str) -> None:
    with pytest.raises(DeviceError, match=f"'{device}' is not one of auto, cpu, cuda, cuda:N"):
        resolve_device(device)
