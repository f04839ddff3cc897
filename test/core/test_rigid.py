# SPDX-License-Identifier: Apache-2.0
"""Frames in frames."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_estimation_ros.core.mount import OPTICAL
from depth_estimation_ros.core.rigid import IDENTITY, Rigid

HALF = math.sqrt(0.5)
LEFT = Rigid.from_quaternion((1.0, 2.0, 3.0), (0.0, 0.0, HALF, HALF))
"""A child turned a quarter to the left."""
POINTS = np.array([[1.0, 0.0, 0.0], [0.2, -0.3, 5.0]])


def test_points_are_turned_then_moved() -> None:
    np.testing.assert_allclose(LEFT(POINTS), [[1.0, 3.0, 3.0], [1.3, 2.2, 8.0]], atol=1e-12)


def test_an_optical_frame_looks_along_its_parents_x() -> None:
    camera = Rigid.from_quaternion((0, 0, 0), OPTICAL)
    np.testing.assert_allclose(camera(np.eye(3)), [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-12)


def test_chains_and_inverses_agree_with_points() -> None:
    child = Rigid.from_quaternion((0.1, -0.2, 0.3), (0.1, 0.2, -0.3, 0.927361849))
    np.testing.assert_allclose((LEFT @ child)(POINTS), LEFT(child(POINTS)), atol=1e-9)
    np.testing.assert_allclose((child.inverse() @ child)(POINTS), IDENTITY(POINTS), atol=1e-9)


def test_a_rounded_quaternion_is_taken_and_any_other_is_none() -> None:
    rounded = Rigid.from_quaternion((1.0, 2.0, 3.0), (0.0, 0.0, 0.707, 0.707))
    np.testing.assert_allclose(rounded.rotation, LEFT.rotation, atol=1e-12)
    for numbers in ((0, 0, 0, 0), (0, 0, 90, 0), (math.nan, 0, 0, 1)):
        with pytest.raises(ValueError, match='no transform'):
            Rigid.from_quaternion((0, 0, 0), numbers)
    with pytest.raises(ValueError, match='no transform'):
        Rigid.from_quaternion((math.inf, 0, 0), (0, 0, 0, 1))
