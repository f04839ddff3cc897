# SPDX-License-Identifier: Apache-2.0
"""The preview's colours: fixed in range, and invalid pixels never look like depth."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depth_estimation_ros.core.colour import COLORMAPS, INVALID_BGR, Colouriser

Colours = NDArray[np.uint8]
EVERY_MAP = pytest.mark.parametrize('colormap', COLORMAPS)


def coloured(values: list[float], colormap: str = 'turbo', near: float = 1.0,
             far: float = 5.0) -> Colours:
    """Return the colour of each value, N×3."""
    return Colouriser(colormap, near, far)(np.array([values], np.float32))[0]


def test_a_preview_has_the_size_of_the_depth() -> None:
    preview = Colouriser('turbo', 0.0, 10.0)(np.ones((48, 64), np.float32))
    assert preview.shape == (48, 64, 3) and preview.dtype == np.uint8


@EVERY_MAP
def test_the_ends_of_the_range_are_the_ends_of_the_map(colormap: str) -> None:
    ends = cv2.applyColorMap(np.array([[0, 255]], np.uint8), COLORMAPS[colormap])[0]
    assert (coloured([1.0, 5.0], colormap) == ends).all()


@EVERY_MAP
def test_depth_runs_through_the_whole_map(colormap: str) -> None:
    ramp = coloured(list(np.linspace(1.0, 5.0, 255)), colormap)
    expected = cv2.applyColorMap(
        np.round(np.linspace(0, 255, 255)).astype(np.uint8)[None], COLORMAPS[colormap])[0]
    assert (ramp == expected).all()


def test_depth_beyond_the_range_takes_the_end_colour() -> None:
    colours = coloured([0.0, 0.99, 1.0, 5.0, 5.01, 500.0, -3.0])
    assert (colours[[0, 1, 6]] == colours[2]).all() and (colours[[4, 5]] == colours[3]).all()


@EVERY_MAP
def test_invalid_pixels_are_drawn_apart(colormap: str) -> None:
    colours = coloured([np.nan, np.inf, -np.inf, *np.linspace(1.0, 5.0, 2000)], colormap)
    assert (colours[:3] == INVALID_BGR).all()
    assert not (colours[3:] == INVALID_BGR).all(axis=1).any()


def test_a_colour_means_the_same_in_every_frame() -> None:
    colouriser = Colouriser('turbo', 0.0, 10.0)
    near, far = (colouriser(np.array([[3.0, other]], np.float32)) for other in (0.1, 90.0))
    assert (near[0, 0] == far[0, 0]).all()


def test_the_depth_itself_is_not_touched() -> None:
    depth = np.array([[0.1, np.nan, 7.0, np.inf]], np.float32)
    depth.flags.writeable = False
    Colouriser('jet', 1.0, 5.0)(depth)
    np.testing.assert_equal(depth, np.array([[0.1, np.nan, 7.0, np.inf]], np.float32))
