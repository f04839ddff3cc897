# SPDX-License-Identifier: Apache-2.0
"""A camera's calibration by the rules of sensor_msgs/CameraInfo and REP 104, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite

from .geometry import reduce_intrinsics, scale_intrinsics
from .pinhole import Pinhole

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

SAME_ASPECT = 0.02
"""How far two sides' ratios may differ; 848x480 and 1280x720 are both called 16:9."""

Numbers = tuple[float, ...]
Size = tuple[int, int]
"""Width and height in pixels, in the order of the message's fields."""


@dataclass(frozen=True)
class Calibration:
    """What a CameraInfo says of a camera: the lens at full resolution, and the image's window."""

    size: Size
    """The full resolution, which K and P are of."""
    model: str
    """The distortion model: plumb_bob, rational_polynomial, equidistant or another."""
    d: Numbers
    k: Numbers
    """3×3, row-major, of the image before rectification."""
    r: Numbers
    p: Numbers
    """3×4, row-major, of the rectified image."""
    offset: Size = (0, 0)
    """The roi's upper left corner at full resolution."""
    roi: Size = (0, 0)
    """The roi's size at full resolution; a zero in it means all."""
    binning: Size = (1, 1)

    @property
    def is_calibrated(self) -> bool:
        """Whether K is there; by CameraInfo's definition a zero K means that it is not."""
        return is_finite(self.k) and self.k[0] != 0 and self.k[4] != 0

    @property
    def is_undistorted(self) -> bool:
        """Whether rectifying would change nothing: no coefficients, and no fisheye."""
        return not any(self.d) and self.model != 'equidistant'

    @property
    def image_size(self) -> Size:
        """The size of the camera's image: of the roi, divided by the binning."""
        width, height = self._window
        return width // self.binning[0], height // self.binning[1]

    @property
    def has_sound_roi(self) -> bool:
        """Whether the roi lies within the full resolution."""
        return all(start + length <= full or not full for start, length, full in zip(
            self.offset, self._window, self.size, strict=True))

    def describes(self, size: Size) -> bool:
        """Say whether the camera makes images of this size, without a resize after it."""
        return size == self.size or (self.has_sound_roi and self._reduces_to(size))

    def has_aspect_of(self, size: Size) -> bool:
        """Say whether the whole of the camera's image, or of its sensor, has this aspect."""
        return any(same_aspect(own, size) for own in (self._window, self.size))

    def of_image(self, size: Size) -> Calibration:
        """
        Return the calibration of an image as it is: its own full resolution, without roi.

        An image of the roi's size, divided by the binning, is cropped and binned; one of the full
        resolution's comes from a driver whose K is of the image already; any other was resized.
        A matrix that is not finite becomes zero, which by CameraInfo means not calibrated.

        :param size: the image's.
        """
        whole = self._without_nan()._completed()
        if self.has_sound_roi and self._reduces_to(size):
            fitting = whole._cropped()
        elif size == self.size or 0 in self.size:
            fitting = whole
        else:
            fitting = whole._resized(size)
        return replace(
            fitting._without_nan(), size=size, offset=(0, 0), roi=(0, 0), binning=(1, 1))

    def pinhole_of(self, size: Size) -> Pinhole | None:
        """
        Return the pinhole camera of an image; None where it is not known.

        It is P's, as an image is taken for a rectified one whatever its topic is called, or K's
        where P is not filled in: the rays that depth_image_proc finds.

        :param size: the image's, in pixels.
        """
        fitting = self.of_image(size)
        for matrix, columns in ((fitting.p, 4), (fitting.k, 3)):
            with suppress(ValueError):
                return Pinhole.from_matrix(matrix, columns)
        return None

    @property
    def _window(self) -> Size:
        return self.size if 0 in self.roi else self.roi

    def _reduces_to(self, size: Size) -> bool:
        """Say whether crop and binning come to this size, which a driver may round either way."""
        return all(length and abs(length / binning - side) < 1 for length, binning, side in zip(
            self._window, self.binning, size, strict=True))

    def _cropped(self) -> Calibration:
        offset = (0, 0) if 0 in self.roi else self.offset
        return replace(self._with_matrices(
            lambda matrix, columns: reduce_intrinsics(matrix, columns, offset, self.binning)),
            size=self.image_size)

    def _resized(self, size: Size) -> Calibration:
        """Scale from the camera's own image; from the full resolution where the aspect says so."""
        cropped = self.has_sound_roi and 0 not in self.image_size and (
            same_aspect(self._window, size) or not same_aspect(self.size, size))
        before = self._cropped() if cropped else self
        scale = size[0] / before.size[0], size[1] / before.size[1]
        return before._with_matrices(
            lambda matrix, columns: scale_intrinsics(matrix, columns, *scale))

    def _with_matrices(self, change: Callable[[Numbers, int], list[float]]) -> Calibration:
        """Change K and P; a zero matrix says that there is none, and stays zero."""
        def changed(matrix: Numbers, columns: int) -> Numbers:
            return tuple(change(matrix, columns)) if any(matrix) else matrix

        return replace(self, k=changed(self.k, 3), p=changed(self.p, 4))

    def _without_nan(self) -> Calibration:
        def finite(matrix: Numbers) -> Numbers:
            return matrix if is_finite(matrix) else (0.0,) * len(matrix)

        return replace(self, k=finite(self.k), r=finite(self.r), p=finite(self.p))

    def _completed(self) -> Calibration:
        """Fill in R and P where they are zero and follow from K, as without distortion."""
        if not (self.is_calibrated and self.is_undistorted):
            return self
        rows = (self.k[start:start + 3] for start in (0, 3, 6))
        return replace(self, model=self.model or 'plumb_bob',
                       r=self.r if any(self.r) else IDENTITY,
                       p=self.p if any(self.p) else tuple(
                           value for row in rows for value in (*row, 0.0)))


def is_finite(numbers: Sequence[float]) -> bool:
    """Say whether no number is NaN or Inf."""
    return all(map(isfinite, numbers))


def same_aspect(first: Size, second: Size) -> bool:
    """Say whether two sizes have one aspect, within SAME_ASPECT or a pixel's rounding."""
    expected = second[1] * first[0] / first[1] if first[1] else 0.0
    return abs(expected - second[0]) <= max(1.0, SAME_ASPECT * second[0])
