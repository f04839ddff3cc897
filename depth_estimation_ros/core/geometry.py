"""Camera intrinsics, as numbers; the messages stay outside."""

from collections.abc import Sequence


def scale_intrinsics(matrix: Sequence[float], columns: int, scale_x: float,
                     scale_y: float) -> list[float]:
    """
    Scale K (3×3) or P (3×4) to an image of another size.

    Pixel centres lie at whole numbers, so a principal point c becomes (c + 0.5) s - 0.5. The
    fourth column of P, which is -f·baseline, scales with its focal length.

    :param matrix: row-major, in pixels (sensor_msgs/CameraInfo).
    :param columns: 3 for K, 4 for P.
    :param scale_x: new width over old width.
    :param scale_y: new height over old height.
    """
    scaled = [float(value) for value in matrix]
    for row, scale in ((0, scale_x), (1, scale_y)):
        start = row * columns
        scaled[start:start + columns] = [value * scale for value in scaled[start:start + columns]]
        scaled[start + 2] += 0.5 * scale - 0.5
    return scaled
