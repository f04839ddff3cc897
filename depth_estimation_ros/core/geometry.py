# SPDX-License-Identifier: Apache-2.0
"""Camera intrinsics, as numbers; the messages stay outside."""

from collections.abc import Sequence


def scale_intrinsics(matrix: Sequence[float], columns: int, scale_x: float,
                     scale_y: float) -> list[float]:
    """
    Scale K (3×3) or P (3×4) to a resized image.

    Pixel centres lie at whole numbers, so a principal point c becomes (c + 0.5) s - 0.5. The
    fourth column of P, which is -f·baseline, scales with its focal length.

    :param matrix: row-major, in pixels (sensor_msgs/CameraInfo).
    :param columns: 3 for K, 4 for P.
    :param scale_x: new width over old width.
    :param scale_y: new height over old height.
    """
    scaled = _rows_times(matrix, columns, scale_x, scale_y)
    for row, scale in ((0, scale_x), (1, scale_y)):
        scaled[row * columns + 2] += 0.5 * scale - 0.5
    return scaled


def reduce_intrinsics(matrix: Sequence[float], columns: int, offset: tuple[float, float],
                      binning: tuple[int, int]) -> list[float]:
    """
    Adapt K (3×3) or P (3×4) of the full resolution to a cropped and binned image (REP 104).

    A principal point c becomes (c - offset) / binning, without half pixels: the fields mean this
    to image_geometry, and depth_image_proc must find the rays that it would have found.

    :param matrix: row-major, in pixels of the full resolution.
    :param columns: 3 for K, 4 for P.
    :param offset: the roi's x_offset and y_offset, in pixels of the full resolution.
    :param binning: pixels of the full resolution in one of the image, along x and y.
    """
    cropped = [float(value) for value in matrix]
    cropped[2] -= offset[0]
    cropped[columns + 2] -= offset[1]
    return _rows_times(cropped, columns, 1 / binning[0], 1 / binning[1])


def _rows_times(matrix: Sequence[float], columns: int, factor_x: float,
                factor_y: float) -> list[float]:
    """Multiply the first row by ``factor_x`` and the second by ``factor_y``."""
    factors = [factor_x] * columns + [factor_y] * columns + [1.0] * columns
    return [float(value) * factor for value, factor in zip(matrix, factors, strict=True)]
