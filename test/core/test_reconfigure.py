# SPDX-License-Identifier: Apache-2.0
"""Another model loaded beside the one that serves, which goes on until the next images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_estimation_ros.core import estimator as module
from depth_estimation_ros.core.errors import DepthError
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.frame import Frame
from depth_estimation_ros.core.loaded import LoadedModel

from .conftest import smooth_image

IMAGE = smooth_image(64, 48)


@pytest.fixture
def estimator(checkpoint_of: Callable[..., Path]) -> Iterator[DepthEstimator]:
    made = DepthEstimator(EstimatorOptions(str(checkpoint_of()), device='cpu', backend='torch'))
    yield made
    made.close()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[EstimatorOptions]:
    """The options of the models that were closed, in their order."""
    done: list[EstimatorOptions] = []
    close = LoadedModel.close

    def noted(model: LoadedModel) -> None:
        done.append(model.options)
        close(model)

    monkeypatch.setattr(LoadedModel, 'close', noted)
    return done


def test_it_serves_from_the_next_images_on(
        estimator: DepthEstimator, closed: list[EstimatorOptions]) -> None:
    before, wanted = estimator.options, replace(estimator.options, height=192, width=256)
    waiting = estimator.submit([IMAGE])
    assert estimator.reconfigure(wanted)
    estimator.submit([IMAGE])
    assert estimator.loaded.options == before
    assert estimator.options == wanted and estimator.loaded.options == before
    assert estimator.network_size(IMAGE) == (96, 128) and not closed
    coarse = waiting()[0].depth.numpy().copy()
    fine = estimator.estimate([IMAGE])[0]
    assert estimator.network_size(IMAGE) == (192, 256) and closed == [before]
    assert not np.allclose(coarse, fine, rtol=1e-3)
    alone = DepthEstimator(wanted)
    np.testing.assert_array_equal(fine, alone.estimate([IMAGE])[0])
    alone.close()


def test_adopting_lets_it_serve_at_once(estimator: DepthEstimator) -> None:
    assert not estimator.adopt()
    estimator.reconfigure(replace(estimator.options, domain='nyu'))
    assert estimator.adopt() and not estimator.adopt()
    assert estimator.range == (0.001, 10.0)


def test_one_that_was_never_served_is_closed(
        estimator: DepthEstimator, closed: list[EstimatorOptions]) -> None:
    first, second = (replace(estimator.options, domain=domain) for domain in ('nyu', 'kitti'))
    estimator.reconfigure(first)
    estimator.reconfigure(second)
    assert closed == [first] and estimator.options == second


@pytest.mark.parametrize('fault', ['not there', 'not accepted', 'not served', 'elsewhere'])
def test_what_cannot_be_had_changes_nothing(
        estimator: DepthEstimator, closed: list[EstimatorOptions], tmp_path: Path,
        fault: str) -> None:
    def refuse(range: tuple[float, float]) -> None:
        assert range == (0.001, 80.0)
        raise ValueError('too far')

    options = estimator.options
    if fault == 'not accepted':
        with pytest.raises(ValueError, match='too far'):
            estimator.reconfigure(replace(options, height=192), accept=refuse)
        assert len(closed) == 1
    else:
        changes: dict[str, dict[str, Any]] = {
            'not there': {'model': str(tmp_path)}, 'not served': {'domain': 'moon'},
            'elsewhere': {'device': 'cuda:7'}}
        changed = replace(options, **changes[fault])
        with pytest.raises(DepthError):
            estimator.reconfigure(changed)
        assert not closed
    assert estimator.options == options and not estimator.adopt()
    assert np.isfinite(estimator.estimate([IMAGE])[0]).all()


def test_closed_while_it_loads_it_leaves_nothing(
        estimator: DepthEstimator, closed: list[EstimatorOptions],
        monkeypatch: pytest.MonkeyPatch) -> None:
    options, wanted = estimator.options, replace(estimator.options, height=192)

    def late(*arguments: object) -> LoadedModel:
        loaded = LoadedModel(*arguments)  # type: ignore[arg-type]
        estimator.close()
        return loaded

    monkeypatch.setattr(module, 'LoadedModel', late)
    assert not estimator.reconfigure(wanted)
    assert closed == [options, wanted]
    estimator.close()
    assert len(closed) == 2


def test_the_model_may_be_another(
        estimator: DepthEstimator, checkpoint_of: Callable[..., Path]) -> None:
    estimator.reconfigure(replace(estimator.options, model=str(checkpoint_of(1))))
    assert estimator.adopt()
    with_two = replace(estimator.options, model=str(checkpoint_of(2)), domain='kitti')
    assert estimator.reconfigure(with_two) and estimator.adopt()
    assert estimator.options == with_two and estimator.family.domains


def test_closing_closes_both(
        checkpoint_of: Callable[..., Path], closed: list[EstimatorOptions]) -> None:
    made = DepthEstimator(EstimatorOptions(str(checkpoint_of()), device='cpu', backend='torch'))
    options, wanted = made.options, replace(made.options, height=192)
    made.reconfigure(wanted)
    made.close()
    assert closed == [options, wanted]


def test_sizes_that_were_to_be_prepared_are_so_again(
        estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[tuple[EstimatorOptions, int, int]] = []
    monkeypatch.setattr(LoadedModel, 'prepare', lambda model, height, width: prepared.append(
        (model.options, height, width)))
    options, wanted = estimator.options, replace(estimator.options, height=192)
    estimator.prepare(48, 64)
    estimator.prepare(0, 0)  # of a camera that has no picture, or no calibration
    estimator.reconfigure(wanted)
    estimator.prepare(60, 80)
    assert prepared == [(options, 48, 64), (wanted, 48, 64), (wanted, 60, 80)]


def test_the_head_that_serves_a_camera_is_chosen_anew(estimator: DepthEstimator) -> None:
    estimator.estimate([Frame(IMAGE, camera='front')])
    assert estimator.domain_of('front')[0]
    estimator.reconfigure(replace(estimator.options, domain='kitti'))
    estimator.estimate([Frame(IMAGE, camera='front')])
    assert estimator.domain_of('front') == ('', 0)
