# SPDX-License-Identifier: Apache-2.0
"""The confidence: what it is of two depths, and that the estimator gives it of the mirrored."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from depth_estimation_ros.core.confidence import agreement, without_low_confidence
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.maps import download

from .conftest import smooth_image

METRES = st.floats(2.0**-10, 2.0**10, width=32)


def ratio(straight: float, mirrored: float) -> float:
    return agreement(torch.tensor([[straight]]), torch.tensor([[mirrored]])).item()


@given(METRES, METRES)
def test_it_is_the_smaller_over_the_larger(one: float, other: float) -> None:
    assert ratio(one, other) == pytest.approx(min(one, other) / max(one, other), rel=1e-6)
    assert ratio(one, one) == 1.0


@pytest.mark.parametrize('unknown', [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_what_is_unknown_is_not_believed(unknown: float) -> None:
    assert ratio(unknown, 2.0) == ratio(2.0, unknown) == ratio(unknown, unknown) == 0.0


def test_what_is_doubtful_becomes_unknown() -> None:
    depth, confidence = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.79, 0.8, 1.0]])
    sure = without_low_confidence(depth, confidence, 0.8)
    np.testing.assert_array_equal(sure, [[np.nan, 2.0, 3.0]])


@pytest.mark.parametrize('heads', [1, 2])
def test_the_estimator_gives_it_of_both_passes(checkpoint_of, heads: int) -> None:
    estimator = DepthEstimator(EstimatorOptions(
        str(checkpoint_of(heads)), device='cpu', backend='torch'))
    image = smooth_image(64, 48)
    plain, = download(estimator.submit([image])())()
    turned, = download(estimator.submit([np.ascontiguousarray(image[:, ::-1])])())()
    both, = download(estimator.submit([image], flip=True)())()
    assert plain.confidence is None and both.confidence is not None
    mirrored = turned.depth[:, ::-1]
    expected = np.minimum(plain.depth, mirrored) / np.maximum(plain.depth, mirrored)
    np.testing.assert_allclose(both.confidence, expected, rtol=1e-4)
    np.testing.assert_allclose(both.depth, (plain.depth + mirrored) / 2, rtol=1e-4)
    assert both.confidence.shape == image.shape[:2] and both.confidence.dtype == np.float32
    estimator.close()
