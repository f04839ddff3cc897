# SPDX-License-Identifier: Apache-2.0
"""What evaluate makes of its sums: a table, JSON, and one picture."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ..core.evaluation.evaluation import COLUMNS, ROWS, Evaluation
from ..core.evaluation.metrics import DepthMetrics
from ..whole_file import write_whole
from .views import Depth

matplotlib.use('Agg')
from matplotlib import pyplot as plt

HEADS = {'abs_rel': 'AbsRel', 'sq_rel': 'SqRel', 'rmse_m': 'RMSE, m', 'rmse_log': 'RMSE log',
         'silog': 'SILog', 'delta1': 'delta1', 'delta2': 'delta2', 'delta3': 'delta3'}
"""The columns of the table."""

Groups = dict[str, DepthMetrics]


def table(plain: Evaluation, aligned: Evaluation, *, pooled: bool) -> Table:
    """
    Return the errors of every group, and of all with median alignment.

    :param pooled: over the pixels of all images together rather than the mean over the images.
    """
    how = 'pixels of all images pooled' if pooled else 'mean over images'
    drawn = Table(title=f'{plain.protocol.describe()}; {how}', title_justify='left')
    for name in ('', *HEADS.values(), 'pixels'):
        drawn.add_column(name, justify='right' if name else 'left', no_wrap=True)
    groups, whole = _groups(plain, pooled), _groups(aligned, pooled)['all']
    _row(drawn, 'all', groups['all'])
    _row(drawn, 'all, median aligned', whole)
    drawn.add_section()
    for name, metrics in groups.items():
        if name != 'all' and metrics.pixels:
            _row(drawn, name, metrics)
    return drawn


def _groups(evaluation: Evaluation, pooled: bool) -> Groups:
    return evaluation.pooled() if pooled else evaluation.per_image()


def _row(drawn: Table, name: str, metrics: DepthMetrics) -> None:
    numbers = [f'{getattr(metrics, key):.1f}' if key == 'silog' else
               f'{getattr(metrics, key):.3f}' for key in HEADS]
    drawn.add_row(name, *numbers, str(metrics.pixels))


def summary(plain: Evaluation, aligned: Evaluation) -> dict[str, Any]:
    """Return all figures for JSON; None where there is none."""
    return {
        'protocol': {**_plain(asdict(plain.protocol)), 'order': 'crop, align, clamp'},
        'images': len(plain.images), 'coverage': plain.coverage,
        'median_ratio': plain.median_ratio,
        'errors': {
            name: {how: {group: _plain(asdict(metrics)) for group, metrics in
                         _groups(evaluation, how == 'pooled').items()}
                   for how in ('per_image', 'pooled')}
            for name, evaluation in (('not_aligned', plain), ('median_aligned', aligned))}}


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures that JSON can hold."""
    return {name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in figures.items() if name != 'align'}


def write(folder: Path, figures: dict[str, Any], picture: bytes) -> None:
    """Write evaluation.json and evaluation.png, each whole; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / 'evaluation.png', picture)
    write_whole(folder / 'evaluation.json', json.dumps(figures, indent=2) + '\n')


def draw(evaluation: Evaluation, image: NDArray[np.uint8] | None, prediction: Depth,
         truth: Depth) -> bytes:
    """
    Draw one image with its depth, and AbsRel by range and region, as a PNG.

    :param image: RGB, H×W×3; None where only depth is recorded.
    :param prediction: metres, H×W; truth alike.
    """
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), layout='constrained')
    far = float(np.nanpercentile(np.where(np.isfinite(truth), truth, np.nan), 99))
    with np.errstate(invalid='ignore', divide='ignore'):  # where neither is a distance
        error = np.abs(prediction - truth) / truth
    if image is not None:
        axes[0, 0].imshow(image)
    _map(axes[0, 1], prediction, 'prediction, m', 'turbo', far)
    _map(axes[0, 2], truth, 'truth, m', 'turbo', far)
    _map(axes[1, 0], error, '|prediction - truth| / truth', 'magma', 0.5)
    axes[0, 0].set_title('image')
    groups = evaluation.pooled()
    regions = {name: groups[name] for name in (*ROWS, *COLUMNS)}
    ranges = {name: metrics for name, metrics in groups.items() if name.endswith((' m', ' on'))}
    _bars(axes[1, 1], ranges, 'AbsRel by range of the truth')
    _bars(axes[1, 2], regions, 'AbsRel by third of the image')
    for axis in (*axes[0], axes[1, 0]):
        axis.axis('off')
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90, format='png')
    plt.close(figure)
    return drawn.getvalue()


def _map(axis: Any, values: NDArray[np.floating], title: str, colours: str, most: float) -> None:
    drawn = axis.imshow(np.where(np.isfinite(values), values, np.nan), cmap=colours, vmin=0,
                        vmax=most)
    axis.figure.colorbar(drawn, ax=axis, fraction=0.04)
    axis.set_title(title)


def _bars(axis: Any, groups: Groups, title: str) -> None:
    known = {name: metrics.abs_rel for name, metrics in groups.items() if metrics.pixels}
    axis.bar(list(known), list(known.values()))
    axis.tick_params('x', rotation=30)
    axis.set_title(title)
