# SPDX-License-Identifier: Apache-2.0
"""core.json and ros.json as one picture: what a frame takes, and how late its depth comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLOURS = {'ours': '#1f6feb', 'by_hand': '#b8a07a', 'pipeline': '#8c8c8c', 'naive': '#8c8c8c'}
LABELS = {'ours': 'depth_estimation_ros', 'by_hand': 'transformers by hand',
          'pipeline': 'transformers pipeline', 'naive': 'naive node'}

Bars = dict[str, list[tuple[float | None, float | None]]]
"""By the name of a contender, a bar's height and the end of its whisker for each group."""


def plot(folder: Path, path: Path) -> None:
    """
    Draw what a benchmark wrote.

    :param folder: with core.json, ros.json, or both.
    :param path: the PNG to write.
    :raises FileNotFoundError: when the folder holds neither.
    """
    rows = {name: json.loads((folder / f'{name}.json').read_text())
            for name in ('core', 'ros') if (folder / f'{name}.json').is_file()}
    if not rows:
        raise FileNotFoundError(f'{folder} holds neither core.json nor ros.json')
    figure, panels = plt.subplots(len(rows), 1, figsize=(10, 4 * len(rows)), squeeze=False,
                                  layout='constrained')
    for axes, name in zip(panels[:, 0], rows, strict=True):
        (_draw_core if name == 'core' else _draw_nodes)(axes, rows[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_core(axes: Axes, rows: list[dict[str, Any]]) -> None:
    names = ('ours', 'by_hand', 'pipeline')
    rows = [row for row in rows if row['batch'] == 1 or row['size'] == rows[0]['size']]
    groups = [f'{row["model"]} {row["precision"]}\n{row["size"]}\n'
              + ('flip' if row['flip'] else f'batch {row["batch"]}') for row in rows]
    bars: Bars = {name: [(row[f'{name}_ms'], row['spread_ms'].get(name, [None, None])[1])
                         for row in rows] for name in names}
    _draw(axes, groups, bars)
    axes.set_title(f'From host array to host array on {rows[0]["device"]}: median, and 90th '
                   'percentile', loc='left')


def _draw_nodes(axes: Axes, rows: list[dict[str, Any]]) -> None:
    groups = list(dict.fromkeys(f'{row["size"]}\n{row["rate_hz"]} Hz' for row in rows))
    bars: Bars = {name: [(row['latency_p50_ms'], row['latency_p99_ms'])
                         for row in rows if row['node'] == name] for name in ('ours', 'naive')}
    _draw(axes, groups, bars)
    axes.set_title(f'From capture stamp to reception, model {rows[0]["model"]}: median, and 99th '
                   'percentile', loc='left')


def _draw(axes: Axes, groups: list[str], bars: Bars) -> None:
    width = 0.8 / len(bars)
    for number, (name, values) in enumerate(bars.items()):
        heights = np.array([np.nan if height is None else height for height, _ in values])
        ends = np.array([np.nan if end is None else end for _, end in values])
        places = np.arange(len(values)) + (number - (len(bars) - 1) / 2) * width
        axes.bar(places, heights, 0.92 * width, color=COLOURS[name], label=LABELS[name],
                 yerr=[np.zeros_like(heights), np.maximum(ends - heights, 0)],
                 error_kw={'ecolor': '#444444', 'elinewidth': 0.8})
        for place, height in zip(places, heights, strict=True):
            if np.isfinite(height):
                text = f' {height:.0f}' if height >= 100 else f' {height:.3g}'
                axes.text(place, height, text, rotation=90, fontsize=6,
                          ha='right', va='bottom')
    axes.set_yscale('log')
    axes.margins(y=0.2)
    axes.set_ylabel('milliseconds')
    axes.set_xticks(range(len(groups)), groups, fontsize=7)
    axes.grid(axis='y', alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=len(bars), loc='upper right')
