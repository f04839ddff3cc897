# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.evaluation import Evaluation
from depth_estimation_ros.core.evaluation.protocol import Protocol


def evaluated(*pairs: tuple[np.ndarray, np.ndarray]) -> Evaluation:
    evaluation = Evaluation(Protocol())
    for prediction, truth in pairs:
        evaluation.add(prediction, truth)
    return evaluation


def test_buckets_are_by_the_truth_with_the_near_limit_in() -> None:
    truth = np.array([[0.5, 1.0, 1.9, 2.0, 100.0]])
    prediction = truth * np.array([[1.1, 1.2, 1.2, 1.3, 2.0]])
    groups = evaluated((prediction, truth)).pooled()
    found = {name: (group.pixels, round(group.abs_rel, 6)) for name, group in groups.items()
             if group.pixels and name.endswith(('m', 'on'))}
    assert found == {'0 to 1 m': (1, 0.1), '1 to 2 m': (2, 0.2), '2 to 4 m': (1, 0.3),
                     '64 m on': (1, 1.0)}


def test_regions_are_thirds_of_the_image() -> None:
    prediction = np.full((9, 12), 2.0)
    prediction[:3], prediction[:, 8:] = 3.0, 4.0
    groups = evaluated((prediction, np.full((9, 12), 2.0))).pooled()
    expected = {'top': (8 * 0.5 + 4) / 12, 'middle': 1 / 3, 'bottom': 1 / 3, 'left': 0.5 / 3,
                'centre': 0.5 / 3, 'right': 1.0}
    assert {name: groups[name].abs_rel for name in expected} == pytest.approx(expected)


def test_pooled_weighs_pixels_and_per_image_weighs_images() -> None:
    sparse = np.full((2, 5), math.nan)
    sparse[0, 0] = 1.0
    evaluation = evaluated((np.full((2, 5), 2.0), sparse), (np.ones((2, 5)), np.ones((2, 5))))
    assert evaluation.per_image()['all'].abs_rel == pytest.approx(0.5)
    assert evaluation.pooled()['all'].abs_rel == pytest.approx(1 / 11)


def test_coverage_is_the_share_of_truth_with_a_prediction() -> None:
    prediction = np.array([[1.0, math.nan, 1.0, math.inf]])
    truth = np.array([[1.0, 1.0, 0.0, 1.0]])
    assert evaluated((prediction, truth)).coverage == pytest.approx(1 / 3)
    assert math.isnan(evaluated((prediction, np.zeros((1, 4)))).coverage)


@pytest.mark.parametrize('protocol', [Protocol('garg'), Protocol(far=4.0)])
def test_the_ratio_of_the_medians_is_of_the_pixels_that_count(protocol: Protocol) -> None:
    truth = np.full((60, 80), 10.0)
    truth[26:57, 5:75] = 2.0
    prediction = np.where(truth == 2, 1.6, 40.0)
    evaluation = Evaluation(protocol)
    evaluation.add(prediction, truth)
    assert evaluation.median_ratio == pytest.approx(1.25)


@pytest.mark.parametrize(('factor', 'fault'), [
    (1000.0, 'the truth looks like millimetres: its median is 1000 times'),
    (0.001, 'the prediction looks like millimetres: its median is 1000 times'),
    (99.0, ''), (0.02, ''), (101.0, 'the truth looks like millimetres'),
])
def test_units_that_differ_are_named(factor: float, fault: str) -> None:
    truth = np.linspace(1, 5, 50)[None]
    found = evaluated((truth, factor * truth)).unit_fault()
    assert found.startswith(fault) and bool(found) == bool(fault)
