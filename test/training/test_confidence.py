# SPDX-License-Identifier: Apache-2.0
"""Candidates for a confidence are tried on rendered and on recorded views."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from depth_estimation_ros.resources import share_folder
from training.confidence import measured, recorded_seen


@pytest.mark.slow
def test_a_recorded_camera_is_scaled_to_its_truth() -> None:
    (image, truth), = islice(recorded_seen(str(share_folder() / 'clips' / 'demo_room')), 1)
    assert image.shape == (*truth.shape, 3) and np.isfinite(truth).any()
    halves = [measured([(image, factor * truth)], align=True) for factor in (1.0, 0.5)]
    rows, others = ({name: each for name, *each in found} for found in halves)
    assert len(rows) == 6 and rows['disagreement with the mirrored image'][0] > 0
    for name, each in rows.items():
        assert others[name] == pytest.approx(each, rel=1e-3)
