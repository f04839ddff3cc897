# SPDX-License-Identifier: Apache-2.0
"""Metres of another lens: what a resize, a crop and a zoom make of the factor."""

from __future__ import annotations

import pytest

from depth_estimation_ros.core.focal import FocalCorrection, Magnification, ReferenceCamera

NYU = ReferenceCamera(518.86, 640, 480)


def one_width(height: int, width: int) -> float:
    """A network that sees every image 512 pixels wide."""
    return 512 / width


def one_height(height: int, width: int) -> float:
    """A network that sees every image 384 pixels high, in its own proportion."""
    return 384 / height


@pytest.mark.parametrize('magnification', [one_width, one_height])
def test_the_trained_camera_stays_as_it_is_at_any_resolution(magnification) -> None:
    factor = FocalCorrection(NYU, magnification).factor
    assert factor(480, 640, 518.86) == pytest.approx(1)
    assert factor(960, 1280, 2 * 518.86) == pytest.approx(1)


def test_a_longer_lens_makes_depth_longer() -> None:
    assert FocalCorrection(NYU, one_width).factor(480, 640, 1.4 * 518.86) == pytest.approx(1.4)


@pytest.mark.parametrize(('magnification', 'factor'), [(one_height, 1.0), (one_width, 0.75)])
def test_a_wider_sensor_counts_as_the_network_sees_it(magnification, factor) -> None:
    """The same lens on a sensor of 16 to 9 rather than 4 to 3."""
    assert FocalCorrection(NYU, magnification).factor(
        480, 853, 518.86) == pytest.approx(factor, rel=1e-3)


def test_a_model_that_knows_the_focal_length_is_refused() -> None:
    with pytest.raises(ValueError, match='count it twice'):
        FocalCorrection(NYU, lambda height, width: None)
    serving: list[Magnification] = [one_width]
    correction = FocalCorrection(NYU, lambda height, width: serving[-1](height, width))
    serving.append(lambda height, width: None)
    with pytest.raises(ValueError, match='count it twice'):
        correction.factor(480, 640, 518.86)
