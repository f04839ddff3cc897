# SPDX-License-Identifier: Apache-2.0
"""Depth as a colour image, for a person's eyes."""

import cv2
import numpy as np
from numpy.typing import NDArray

COLORMAPS = {
    name: getattr(cv2, f'COLORMAP_{name.upper()}')
    for name in ('turbo', 'inferno', 'magma', 'plasma', 'viridis', 'cividis', 'jet', 'bone')
}
"""The names of the colour maps and OpenCV's codes for them."""

INVALID_BGR = (64, 64, 64)
"""The dark grey of a pixel without depth; no colour map above contains it."""


OUTLIERS = 0.02
"""The share of values at either end that take the end's colour where there is no scale."""

SMALLEST = 1e-6
"""The smallest range that colours are spread over: flat inverse depth has one colour."""


class Colouriser:
    """
    Maps metres to colours with a fixed range, so that a colour means the same in every frame.

    Valid depth outside the range takes the range's end colour; a pixel that is not finite is
    drawn in :data:`INVALID_BGR`.
    """

    def __init__(self, colormap: str, near: float, far: float) -> None:
        """
        Prepare the table of colours.

        :param colormap: a name in :data:`COLORMAPS`.
        :param near: metres of the first colour.
        :param far: metres of the last colour, above ``near``.
        """
        self._near, self._far = near, far
        ramp = np.round(np.linspace(0, 255, 255)).astype(np.uint8)[:, None]
        colours = cv2.applyColorMap(ramp, COLORMAPS[colormap])
        self._table = np.concatenate([np.array([[INVALID_BGR]], np.uint8), colours])

    def __call__(self, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
        """
        Colour a depth image.

        :param depth: float32 metres, H×W.
        :return: uint8 BGR, H×W×3.
        """
        return self._coloured(depth, self._near, self._far)

    def stretched(self, inverse: NDArray[np.float32]) -> NDArray[np.uint8]:
        """
        Colour inverse depth without a scale over the range of all but :data:`OUTLIERS` of it.

        :param inverse: float32, H×W, larger is nearer.
        :return: uint8 BGR, H×W×3; the nearest has the first colour, as in metres.
        """
        finite = inverse[np.isfinite(inverse)]
        low, high = np.quantile(finite, (OUTLIERS, 1 - OUTLIERS)) if finite.size else (0.0, 1.0)
        return self._coloured(-inverse, -float(high), max(-float(low), SMALLEST - float(high)))

    def _coloured(self, depth: NDArray[np.float32], near: float, far: float) -> NDArray[np.uint8]:
        scale = 254 / (far - near)
        level = np.clip(depth, near, far)
        index = cv2.convertScaleAbs(level, alpha=scale, beta=1 - scale * near)
        index *= np.isfinite(depth)
        return np.asarray(cv2.applyColorMap(index, self._table), np.uint8)


def greyscale(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """
    Return the picture that ``transformers.pipeline('depth-estimation')`` calls ``depth``.

    Its range is each image's own, so a grey level means another distance in the next frame.

    :param depth: float32, H×W, in any unit.
    :return: uint8, H×W, 0 the smallest and 255 the largest value; 0 where depth is not finite.
    """
    known = np.isfinite(depth)
    if not known.any():
        return np.zeros(depth.shape, np.uint8)
    low, high = float(depth[known].min()), float(depth[known].max())
    level = (np.where(known, depth, low) - low) / (high - low or 1.0)
    return np.asarray(level * 255).astype(np.uint8)
