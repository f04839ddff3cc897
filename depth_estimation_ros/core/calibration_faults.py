# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a camera's calibration, each fault in a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator

from .calibration import IDENTITY, Calibration, Size, is_finite

FOCAL_LENGTHS = (0.05, 100.0)
"""Shortest and longest over the width: 169 and 0.6 degrees of view, beyond any pinhole camera."""

RECTIFIED_FOCAL = 4.0
"""How many times the focal lengths of K and P may differ, by wide lenses' rectification."""

UNDISTORTED_FOCAL = 1.1
"""Likewise for a camera without distortion and rotation, whose P is K but for rounding."""

COEFFICIENTS = {'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14), 'equidistant': (4,)}
"""
How many each model may have: some drivers leave plumb_bob's k3 out, some give OpenCV's further
ones, of the thin prism and the tilt, under rational_polynomial.
"""

CALIBRATE = 'calibrate the camera (camera_calibration) and give its driver the file'


def calibration_faults(calibration: Calibration, size: Size, *, rectified: bool) -> list[str]:
    """
    Return what makes the calibration unfit for an image; empty where nothing does.

    :param calibration: as the camera published it.
    :param size: the image's (width, height); (0, 0) where it isn't known.
    :param rectified: whether the image is known to be rectified.
    """
    if not is_finite(calibration.k):
        return [f'camera_info holds a K that is not finite: {CALIBRATE}']
    if not calibration.is_calibrated:
        return [f'camera_info says that the camera is not calibrated (K is zero): {CALIBRATE}']
    lens = list(_lens_faults(calibration))
    return [*_size_faults(calibration, size), *lens, *_distortion_faults(calibration, rectified),
            *([] if lens else _projection_faults(calibration))]


def _size_faults(calibration: Calibration, size: Size) -> Iterator[str]:
    """Name what does not fit the image."""
    full, image = (f'{width}x{height}' for width, height in (calibration.size, size))
    if 0 in calibration.size:
        yield ('camera_info has width or height 0, so its K is taken as that of the image: have '
               'the driver fill them in')
        return
    if 0 in size or calibration.describes(size):
        return
    if not calibration.has_sound_roi:
        yield (f'the roi of camera_info reaches beyond its own {full}: width and height must be '
               'those of the full resolution (REP 104)')
    elif not calibration.has_aspect_of(size):
        yield (f'camera_info is of {full}, the image is {image}, which is another aspect: publish '
               'the calibration of this mode, or set roi where the driver crops')


def _lens_faults(calibration: Calibration) -> Iterator[str]:
    """Name what cannot be a camera's K."""
    k, (width, height) = calibration.k, calibration.size
    if any(abs(value - ideal) > 1e-6 for value, ideal in zip(k[6:], (0.0, 0.0, 1.0), strict=True)):
        yield 'the last row of K in camera_info is not 0 0 1: is it stored column by column?'
    shortest, longest = (side * width for side in FOCAL_LENGTHS)
    if min(k[0], k[4]) <= 0 or (width and not shortest <= k[0] <= longest):
        yield (f'the focal lengths in camera_info, {k[0]:.6g} and {k[4]:.6g}, cannot be those of '
               f'an image {width} pixels wide: they are in pixels. Else {CALIBRATE}')
    if 0 in calibration.size:
        return
    if not (0 < k[2] < width and 0 < k[5] < height):
        yield (f'the principal point in camera_info, ({k[2]:.6g}, {k[5]:.6g}), lies outside its '
               f'{width}x{height}: is it of another camera or another mode?')
    elif _is_of_binned_image(calibration):
        yield ('the K of camera_info seems to be of the binned image, but it must be of the full '
               'resolution (REP 104): calibrate without binning, or publish binning 0 with the '
               "binned image's width and height")


def _is_of_binned_image(calibration: Calibration) -> bool:
    """Say whether the principal point is in the middle of the binned image, not of the full."""
    def off_centre(factors: Size) -> float:
        return max(abs(c * factor / side - 0.5) for c, factor, side in zip(
            (calibration.k[2], calibration.k[5]), factors, calibration.size, strict=True))

    return off_centre((1, 1)) > 0.2 and off_centre(calibration.binning) < 0.1


def _distortion_faults(calibration: Calibration, rectified: bool) -> Iterator[str]:
    """Name what the distortion says about the image, or fails to say."""
    model, count = calibration.model, len(calibration.d)
    if not is_finite(calibration.d):
        yield f'camera_info holds distortion coefficients that are not finite: {CALIBRATE}'
    elif not model:
        yield ('camera_info names no distortion_model: have the driver set plumb_bob, with zeros '
               'in D where the image has no distortion')
    elif any(calibration.d) and model not in COEFFICIENTS:
        yield (f"camera_info names the distortion_model '{model}', which image_proc cannot "
               f'rectify: it takes {", ".join(COEFFICIENTS)}')
    elif any(calibration.d) and count not in COEFFICIENTS[model]:
        known = ' or '.join(map(str, COEFFICIENTS[model]))
        yield (f'camera_info gives {count} coefficients for {model}, which has {known}: have the '
               'driver name the model that they belong to')
    if rectified or calibration.is_undistorted:
        return
    if model == 'equidistant':
        yield ('camera_info is of a fisheye lens (equidistant), but depth is that of a pinhole '
               "camera: remap image to a rectified one (image_proc's image_rect)")
    elif any(calibration.d):
        yield ('camera_info has lens distortion (D is not zero), but depth/image_rect is as '
               "rectified as its image: remap image to image_proc's image_rect. Where the image "
               "is rectified already, publish D as zero or put 'rect' into the topic's name")


def _projection_faults(calibration: Calibration) -> Iterator[str]:
    """Name what is wrong with R and P, which depth_image_proc takes for its rays."""
    k, r, p = calibration.k, calibration.r, calibration.p
    if not (is_finite(r) and is_finite(p)):
        yield f'camera_info holds an R or P that is not finite: {CALIBRATE}'
        return
    missing = [name for name, matrix in (('R', r), ('P', p)) if not any(matrix)]
    if missing and not calibration.is_undistorted:
        yield (f'{" and ".join(missing)} in camera_info {"is" if len(missing) == 1 else "are"} '
               f'zero, so the camera cannot be rectified: {CALIBRATE}')
    if not any(p):
        return
    unturned = not any(r) or all(abs(a - b) < 1e-3 for a, b in zip(r, IDENTITY, strict=True))
    limit = UNDISTORTED_FOCAL if calibration.is_undistorted and unturned else RECTIFIED_FOCAL
    ratios = p[0] / k[0], p[5] / k[4]
    if not all(1 / limit <= ratio <= limit for ratio in ratios):
        yield (f'P in camera_info has the focal lengths {p[0]:.6g} and {p[5]:.6g}, K has '
               f'{k[0]:.6g} and {k[4]:.6g}: is P of another mode? Else {CALIBRATE}')
