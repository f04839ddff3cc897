# SPDX-License-Identifier: Apache-2.0
"""The plots of a report, as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .description import Bars, Histogram, Series

POINTS = 400
"""As many points as a line has at most: more cannot be seen, and would make the page large."""

COLOURS = ('#1f5fa8', '#c2410c', '#3f7d20')
SIZE = 4.8, 2.5
"""Inches; small, so that the letters can be read where the page is narrow."""

STYLE = {'svg.fonttype': 'none', 'svg.hashsalt': 'depth_estimation_ros', 'font.size': 9,
         'font.family': 'sans-serif', 'axes.spines.top': False, 'axes.spines.right': False,
         'text.parse_math': False,  # a $ in a name is a $
         'axes.grid': True, 'grid.color': '#e3e3e3', 'axes.axisbelow': True}


def svg_of(plot: Series | Histogram | Bars) -> str:
    """Draw a plot; the same description gives the same text."""
    draw: dict[type, Callable[[Any, Any], None]] = {
        Series: _series, Histogram: _histogram, Bars: _bars}
    with matplotlib.rc_context(STYLE):
        figure = Figure(SIZE, layout='constrained')
        draw[type(plot)](figure.subplots(), plot)
        text = io.StringIO()
        figure.savefig(text, format='svg', metadata={'Date': None})
    return text.getvalue()


def spread(places: Sequence[float], values: Sequence[float],
           most: int = POINTS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Put values into equal spans of their order.

    :param most: so many spans at most.
    :return: when each span begins; and its least, middle and largest value, 3×spans.
    """
    spans = min(most, len(values))
    times = [part[0] for part in np.array_split(np.asarray(places, np.float64), spans)]
    with np.errstate(all='ignore'):
        figures = [_spread(part) for part in
                   np.array_split(np.asarray(values, np.float64), spans)]
    return np.array(times), np.array(figures).T.reshape(3, spans)


def _spread(part: NDArray[np.float64]) -> tuple[float, float, float]:
    known = part[np.isfinite(part)]
    if not known.size:
        return (float('nan'),) * 3
    return float(known.min()), float(np.median(known)), float(known.max())


def _series(axes: Any, plot: Series) -> None:
    for (name, values), colour in zip(plot.lines.items(), COLOURS, strict=False):
        if not len(values):
            continue
        times, (least, middle, largest) = spread(plot.places, values)
        if len(times) < len(values):
            axes.fill_between(times, least, largest, color=colour, alpha=0.25, linewidth=0)
        axes.plot(times, middle, color=colour, label=name, linewidth=1.3,
                  marker='.' if len(times) < 60 else '')
    axes.set(xlabel=plot.axis, ylabel=plot.unit)
    known = [value for values in plot.lines.values() for value in values if np.isfinite(value)]
    least, most = min(known, default=0.0), max(known, default=0.0)
    top = 1.08 * most or 1.0
    axes.set_ylim(min(1.05 * least, -0.02 * top), top)  # so that a line at 0 is seen
    if len(plot.lines) > 1:
        axes.legend(frameon=False, fontsize=8)


def _histogram(axes: Any, plot: Histogram) -> None:
    axes.stairs(plot.counts, plot.edges, fill=True, color=COLOURS[0])
    axes.set(xlabel='metres', ylabel=plot.unit)


def _bars(axes: Any, plot: Bars) -> None:
    axes.bar(list(plot.values), list(plot.values.values()), color=COLOURS[0])
    axes.set_ylabel(plot.unit)
    axes.tick_params('x', rotation=30)
