# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.metrics import error_sums
from depth_estimation_ros.core.evaluation.protocol import Protocol, prepare


@pytest.mark.parametrize(('crop', 'shape', 'rows', 'columns'), [
    ('none', (480, 640), (0, 480), (0, 640)),
    ('eigen-nyu', (480, 640), (45, 471), (41, 601)),
    ('eigen-nyu', (240, 320), (22, 235), (20, 300)),
    ('eigen-kitti', (375, 1242), (124, 342), (44, 1197)),
    ('garg', (375, 1242), (153, 371), (44, 1197)),
    ('garg', (352, 1216), (143, 349), (43, 1172)),
])
def test_crops_are_those_of_the_papers(crop, shape, rows, columns) -> None:
    mask = prepare(np.ones(shape), np.ones(shape), Protocol(crop)).mask
    found = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    assert [(side[0], side[-1] + 1) for side in found] == [rows, columns]
    assert mask.sum() == (rows[1] - rows[0]) * (columns[1] - columns[0])


def test_the_order_is_crop_align_clamp() -> None:
    prediction = np.tile(np.linspace(1, 3, 640), (480, 1))
    truth = 2 * prediction
    prediction[:45] = 100.0  # outside the crop: must not tell the scale
    prediction[100, 100] = 6.0  # 12 m after alignment, 10 m after the clamp
    compared = prepare(prediction, truth, Protocol('eigen-nyu', True, 0.1, 10.0))
    wrong = np.abs(compared.predicted - compared.actual) > 0.01
    assert compared.predicted[wrong].tolist() == [10.0]


def test_truth_on_the_caps_is_left_out_and_predictions_are_set_to_them() -> None:
    truth = np.array([[0.1, 1.0, 2.0, 3.0, 10.0, math.nan, 0.0]])
    prediction = np.array([[1.0, 0.01, math.inf, -math.inf, 1.0, 1.0, 1.0]])
    compared = prepare(prediction, truth, Protocol(near=0.1, far=10.0))
    assert compared.predicted.tolist() == [0.1, 10.0, 0.1]
    assert compared.actual.tolist() == [1.0, 2.0, 3.0]


def test_what_is_not_predicted_is_known_but_not_compared() -> None:
    prediction = np.array([[math.nan, math.inf, -math.inf, 0.0, -1.0, 2.0]])
    compared = prepare(prediction, np.full((1, 6), 2.0), Protocol())
    assert (compared.known, compared.mask.tolist()) == (6, [[False] * 5 + [True]])


def test_alignment_leaves_no_scale_error() -> None:
    truth = np.linspace(1, 5, 101)[None]
    compared = prepare(0.3 * truth, truth, Protocol(align=True))
    assert error_sums(compared.predicted, compared.actual).metrics().abs_rel < 1e-12


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r'\(2, 2\).*\(2, 3\)'):
        prepare(np.ones((2, 2)), np.ones((2, 3)), Protocol())
