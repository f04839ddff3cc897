# SPDX-License-Identifier: Apache-2.0
"""Calibration of an image by REP 104, against image_geometry's rules written out here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from depth_estimation_ros.core.calibration import IDENTITY, Calibration
from depth_estimation_ros.core.pinhole import Pinhole

K = (500.0, 0.0, 320.0, 0.0, 510.0, 180.0, 0.0, 0.0, 1.0)
P = (480.0, 0.0, 322.0, -60.0, 0.0, 490.0, 181.0, 5.0, 0.0, 0.0, 1.0, 0.0)
PLAIN = Calibration(size=(640, 360), model='plumb_bob', d=(0.0,) * 5, k=K, r=IDENTITY, p=P)
NO_P, NO_R = (0.0,) * 12, (0.0,) * 9

Rays = NDArray[np.float64]


def rays(calibration: Calibration, size: tuple[int, int]) -> Rays:
    """
    Return the rays of an image's pixels as image_geometry's PinholeCameraModel finds them.

    It takes P; moves the principal point by the roi's offset, then divides fx, cx, Tx by binning_x
    and fy, cy, Ty by binning_y; a ray is ((u - cx - Tx) / fx, (v - cy - Ty) / fy, 1).
    """
    matrix = np.reshape(calibration.p, (3, 4)).copy()
    matrix[:2, 2] -= calibration.offset
    matrix[0, [0, 2, 3]] /= calibration.binning[0]
    matrix[1, [1, 2, 3]] /= calibration.binning[1]
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return np.stack([(u - matrix[0, 2] - matrix[0, 3]) / matrix[0, 0],
                     (v - matrix[1, 2] - matrix[1, 3]) / matrix[1, 1]])


def test_an_image_of_the_full_resolution_keeps_everything() -> None:
    assert PLAIN.of_image((640, 360)) == PLAIN


def test_a_crop_moves_the_principal_point_only() -> None:
    cropped = replace(PLAIN, offset=(100, 50), roi=(400, 200)).of_image((400, 200))
    assert cropped.k == (500.0, 0.0, 220.0, 0.0, 510.0, 130.0, 0.0, 0.0, 1.0)
    assert (cropped.p[0], cropped.p[2], cropped.p[6]) == (480.0, 222.0, 131.0)
    assert (cropped.size, cropped.roi, cropped.offset) == ((400, 200), (0, 0), (0, 0))


@pytest.mark.parametrize(('window', 'size'), [
    ({'offset': (100, 50), 'roi': (400, 200)}, (400, 200)),
    ({'binning': (2, 2)}, (320, 180)),
    ({'binning': (4, 2)}, (160, 180)),
    ({'offset': (100, 50), 'roi': (400, 200), 'binning': (2, 4)}, (200, 50)),
    ({'offset': (0, 0), 'roi': (400, 200), 'binning': (2, 2)}, (200, 100)),
    ({'offset': (3, 5), 'roi': (401, 203), 'binning': (2, 2)}, (200, 101)),
    ({'offset': (3, 5), 'roi': (401, 203), 'binning': (2, 2)}, (201, 102)),
    ({'offset': (0, 0), 'roi': (640, 360)}, (640, 360)),
    ({'binning': (1, 1)}, (640, 360))], ids=str)
def test_roi_and_binning_give_the_rays_of_image_geometry(
        window: dict[str, tuple[int, int]], size: tuple[int, int]) -> None:
    given = replace(PLAIN, **window)  # type: ignore[arg-type]
    assert given.describes(size)
    np.testing.assert_allclose(rays(given.of_image(size), size), rays(given, size), atol=1e-12)


@pytest.mark.parametrize('window', [
    {'offset': (100, 50), 'roi': (400, 200)}, {'binning': (2, 2)},
    {'offset': (500, 50), 'roi': (640, 360)}], ids=str)
def test_a_calibration_that_is_of_the_image_already_passes_unchanged(
        window: dict[str, tuple[int, int]]) -> None:
    given = replace(PLAIN, **window)  # type: ignore[arg-type]
    assert given.of_image((640, 360)) == PLAIN


def test_a_resized_crop_is_scaled_from_the_crop() -> None:
    crop = replace(PLAIN, offset=(100, 50), roi=(400, 200))
    once, twice = crop.of_image((400, 200)), crop.of_image((200, 100))
    centres = (rays(once, (400, 200))[:, ::2, ::2] + rays(once, (400, 200))[:, 1::2, 1::2]) / 2
    np.testing.assert_allclose(rays(twice, (200, 100)), centres, atol=1e-9)


def test_a_resized_full_image_is_told_from_a_resized_crop_by_its_aspect() -> None:
    square = replace(PLAIN, offset=(100, 50), roi=(200, 200))
    assert square.of_image((320, 180)).k[0] == 250.0
    assert square.of_image((100, 100)).k[0] == 250.0
    assert square.of_image((100, 100)).k[2] == 220.0 * 0.5 - 0.25


def test_an_image_of_another_aspect_is_scaled_by_its_sides() -> None:
    assert not PLAIN.has_aspect_of((384, 384))
    scaled = PLAIN.of_image((320, 360))
    assert (scaled.k[0], scaled.k[4]) == (250.0, 510.0)


@pytest.mark.parametrize('size', [(0, 360), (640, 0), (0, 0)])
def test_without_a_size_it_is_taken_as_the_images(size: tuple[int, int]) -> None:
    assert replace(PLAIN, size=size).of_image((320, 180)) == replace(PLAIN, size=(320, 180))


@pytest.mark.parametrize('size', [(640, 360), (320, 180)])
def test_r_and_p_follow_from_k_without_distortion(size: tuple[int, int]) -> None:
    given = replace(PLAIN, r=NO_R, p=NO_P, d=(), model='')
    filled = given.of_image(size)
    assert (filled.r, filled.model) == (IDENTITY, 'plumb_bob')
    assert np.array_equal(np.reshape(filled.p, (3, 4))[:, :3], np.reshape(filled.k, (3, 3)))
    assert not np.reshape(filled.p, (3, 4))[:, 3].any()


def test_the_p_of_a_crop_follows_from_k_too() -> None:
    crop = replace(PLAIN, p=NO_P, offset=(100, 50), roi=(400, 200)).of_image((400, 200))
    assert (crop.p[0], crop.p[2], crop.p[6]) == (500.0, 220.0, 130.0)


@pytest.mark.parametrize('distorted', [
    replace(PLAIN, d=(0.1, 0.0, 0.0, 0.0, 0.0)), replace(PLAIN, model='equidistant'),
    replace(PLAIN, model='rational_polynomial', d=(0.1,) * 8)])
@pytest.mark.parametrize('size', [(640, 360), (320, 180)])
def test_nothing_is_made_up_for_a_distorted_camera(
        distorted: Calibration, size: tuple[int, int]) -> None:
    given = replace(distorted, r=NO_R, p=NO_P).of_image(size)
    assert (given.r, given.p, given.d) == (NO_R, NO_P, distorted.d)


@pytest.mark.parametrize('window', [{}, {'offset': (100, 50), 'roi': (400, 200)}], ids=str)
def test_what_is_not_calibrated_stays_zero(window: dict[str, tuple[int, int]]) -> None:
    given = replace(PLAIN, k=(0.0,) * 9, r=NO_R, p=NO_P, **window)  # type: ignore[arg-type]
    for size in ((640, 360), (400, 200), (200, 100)):
        assert given.of_image(size).k == (0.0,) * 9
        assert given.of_image(size).p == NO_P


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_matrix_that_is_not_finite_is_none(value: float) -> None:
    broken = replace(PLAIN, k=(value,) * 9).of_image((320, 180))
    assert broken.k == (0.0,) * 9 and not broken.is_calibrated
    mended = replace(PLAIN, p=(value,) * 12, r=(value,) * 9).of_image((640, 360))
    assert (mended.p[0], mended.r) == (500.0, IDENTITY)


def test_an_image_is_seen_through_p_and_through_k_where_there_is_no_p() -> None:
    bent = replace(PLAIN, d=(0.1,) * 5)
    assert bent.pinhole_of((320, 180)) == Pinhole(240.0, 245.0, 160.75, 90.25)
    assert replace(bent, p=NO_P).pinhole_of((640, 360)) == Pinhole(500.0, 510.0, 320.0, 180.0)
    assert replace(bent, p=NO_P, k=NO_R).pinhole_of((640, 360)) is None
