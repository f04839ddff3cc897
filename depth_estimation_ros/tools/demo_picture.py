# SPDX-License-Identifier: Apache-2.0
"""The demo's picture of a moment: image, depth, ground truth, points and scan, those it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from ..core.mount import Mount
from ..core.pinhole import Pinhole
from ..core.scan import Band, ranges_of
from ..ros import codec
from ..ros.outputs.scan import ScanSettings
from .geometry_picture import (
    SEEN,
    TRUE,
    draw_cloud,
    draw_floor,
    draw_heights,
    draw_scans,
    level_points,
)
from .received import KeptMoment, Received

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Panel = tuple[str, str, Callable[[Axes], Any]]
"""A title, what its colours mean, and what draws it and returns what has the colours."""

COLUMNS = 3


def preview_picture(received: Received, path: Path, mount: Mount | None = None) -> None:
    """
    Draw the moment of which most came, and of those the one whose depth differs most.

    :param mount: how the camera stands over the floor, where that is known.
    """
    moments = [moment for moment in received.moments.values() if moment.depth is not None]
    if not moments:
        return
    moment = max(moments, key=lambda each: (each.parts, _spread(each.depth)))
    _draw([*_maps(moment), *_geometry(moment, mount)], path)


def _spread(depth: Any) -> float:
    finite = depth[np.isfinite(depth)]
    return float(finite.std()) if finite.size else 0.0


def _draw(panels: list[Panel], path: Path) -> None:
    columns, rows = min(COLUMNS, len(panels)), -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns + 0.8, 3.4 * rows),
                                layout='constrained', squeeze=False)
    coloured: dict[str, tuple[Any, Any]] = {}
    for number, axis in enumerate(axes.flat):
        axis.axis('off')
        if number < len(panels):
            title, colours, draw = panels[number]
            axis.set_title(title)
            drawn = draw(axis)
            if colours:
                coloured[colours] = drawn, axes[number // columns]
    for label, (drawn, row) in coloured.items():
        figure.colorbar(drawn, ax=row, label=label, fraction=0.025)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _maps(moment: KeptMoment) -> Iterator[Panel]:
    """Yield the image, and over one range of colours its depth and the ground truth."""
    yield 'image', '', partial(Axes.imshow, X=codec.decode(moment.image))
    panels = {title: np.where(np.isfinite(panel), panel, np.nan) for title, panel in (
        ('depth', moment.depth), ('ground truth', moment.truth)) if panel is not None}
    known = np.concatenate([panel[np.isfinite(panel)] for panel in panels.values()])
    near, far = np.percentile(known, (1, 99)) if known.size else (0.0, 1.0)
    for title, panel in panels.items():
        yield title, 'metres', partial(Axes.imshow, X=panel, cmap='turbo', vmin=near, vmax=far)


def _geometry(moment: KeptMoment, mount: Mount | None) -> Iterator[Panel]:
    """Yield the points, and where the floor is known the same from above, and the scan."""
    if moment.points is None or moment.info is None:
        return
    points = level_points(moment.points, mount or Mount(0.0))
    if not np.isfinite(points).any():
        return
    yield 'points', '', partial(draw_cloud, points=points, colours=_colours(moment))
    if mount is None:
        return
    reach = 1.1 * float(np.nanpercentile(np.hypot(points[:, 0], points[:, 1]), 99))
    half_view = float(np.arctan(moment.info.width / 2 / moment.info.p[0]))

    def plan(axis: Axes, draw: Callable[[Axes], Any]) -> Any:
        draw_floor(axis, reach, half_view)
        return draw(axis)

    yield 'points from above', 'metres over the floor', partial(plan, draw=partial(
        draw_heights, points=points, camera_height=mount.height))
    if moment.scan is not None:
        yield 'scan', '', partial(plan, draw=partial(
            draw_scans, scans=[*_scans(moment, mount)]))


def _colours(moment: KeptMoment) -> NDArray[np.uint8]:
    """Return the image's colour of each point."""
    image, cloud = codec.decode(moment.image), moment.points
    rows, columns = (np.arange(count) * side // count for count, side in zip(
        (cloud.height, cloud.width), image.shape[:2], strict=True))
    return np.asarray(image[rows[:, None], columns].reshape(-1, 3))


def _scans(moment: KeptMoment, mount: Mount) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield the node's scan, and one of the ground truth by the same rules."""
    ranges = np.asarray(moment.scan.ranges)
    yield 'scan', SEEN, (moment.scan.angle_min
                         + moment.scan.angle_increment * np.arange(len(ranges))), ranges
    if moment.truth is not None:
        given = ScanSettings()
        ranges, first, step = ranges_of(
            moment.truth.copy(), _thinned(moment.info, moment.truth.shape[1]),
            mount, Band(given.min_height, given.max_height, given.slack))
        yield 'ground truth', TRUE, first + step * np.arange(len(ranges)), ranges


def _thinned(info: Any, columns: int) -> Pinhole:
    """Return the intrinsics of every n-th pixel of an image."""
    step = info.width / columns
    return Pinhole(*(info.p[place] / step for place in (0, 5, 2, 6)))
