# SPDX-License-Identifier: Apache-2.0
"""Candidates for a confidence are tried on rendered and on recorded views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.resources import model_folder, share_folder
from training.confidence import drives_seen, measured, recorded_seen


@pytest.fixture(scope='module')
def estimator() -> Iterator[DepthEstimator]:
    made = DepthEstimator(EstimatorOptions(model_folder('demo'), device='cpu', backend='torch'))
    yield made
    made.close()


@pytest.mark.slow
def test_a_recorded_camera_is_scaled_to_its_truth(estimator: DepthEstimator) -> None:
    seen, = islice(recorded_seen(str(share_folder() / 'clips' / 'demo_room')), 1)
    assert seen.image.shape == (*seen.truth.shape, 3) and np.isfinite(seen.truth).any()
    halves = [measured([replace(seen, truth=factor * seen.truth)], estimator, align=True)
              for factor in (1.0, 0.5)]
    rows, others = ({name: each for name, *each in found} for found in halves)
    assert len(rows) == 6 and rows['disagreement with the mirrored image'][0] > 0
    for name, each in rows.items():
        assert others[name] == pytest.approx(each, rel=1e-3)


@pytest.mark.slow
def test_a_drive_has_what_the_filter_says_too(estimator: DepthEstimator) -> None:
    rows = {name: each for name, *each in measured(drives_seen(1, estimator), estimator,
                                                   align=False)}
    assert len(rows) == 7
    assert rows['disagreement with the temporal filter'][1] > rows['chance'][1]
