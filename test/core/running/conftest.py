# SPDX-License-Identifier: Apache-2.0
"""A device that is played on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from depth_estimation_ros.core.running import graphs

from .cuda_double import Cuda, install


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    """torch.cuda played on the CPU; that nothing disturbed a capture is seen at the end."""
    monkeypatch.setattr(graphs, '_FREE_STREAMS', [])
    double = install(monkeypatch)
    yield double
    assert not double.violations
    assert double.current is double.default
