# SPDX-License-Identifier: Apache-2.0
"""A report as one page of HTML that needs no other file and no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from .. import __version__
from .depth_code import coloured, encoded, picture, uri_of
from .description import Bars, Depth, Gallery, Histogram, Report, Sample, Section, Series, Table
from .plots import svg_of

SCALE_STOPS = 255
"""Colours of the scale that the page draws beside its depth."""

LEAST_RANGE = 0.1
"""Metres between the first and the last colour, at least."""

Limits = tuple[float, float]


def html_of(report: Report) -> str:
    """Return the page; every text of the report is escaped."""
    script, limits = _file('page.js'), _limits(report.sections)
    return Template(_file('page.html')).substitute(
        title=escape(report.title), style=_file('page.css'), script=script,
        hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        facts=''.join(f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n'
                      for name, value in report.facts.items()),
        notes=_notes(report.notes), version=escape(__version__),
        sections=''.join(_section(section, limits) for section in report.sections))


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding='utf-8')


def _notes(notes: Sequence[str]) -> str:
    listed = ''.join(f'<li>{escape(note)}</li>\n' for note in notes)
    return f'<ul class="notes">\n{listed}</ul>\n' if notes else ''


def _section(section: Section, limits: Limits) -> str:
    if isinstance(section, Table):
        kind, content = 'wide', _table(section)
    elif isinstance(section, Gallery):
        kind, content = 'wide gallery', _gallery(section, limits)
    else:
        kind, content = 'narrow', _plot(section)
    note = f'<p class="note">{escape(section.note)}</p>\n' if section.note else ''
    return (f'<section class="{kind}">\n<h2>{escape(section.title)}</h2>\n{content}{note}'
            '</section>\n')


def _table(table: Table) -> str:
    head = ''.join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    rows = ''.join(f'<tr>{_cells(row)}</tr>\n' for row in table.rows)
    return (f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}'
            '</tbody></table></div>\n')


def _cells(row: Iterable[str]) -> str:
    return ''.join(f'<td>{escape(cell)}</td>' for cell in row)


def _plot(plot: Series | Histogram | Bars) -> str:
    """Return a plot as a picture, so that the names within it are its own."""
    source = uri_of(svg_of(plot).encode(), 'image/svg+xml')
    return f'<img class="plot" src="{source}" alt="{escape(spoken(plot))}">\n'


def spoken(plot: Series | Histogram | Bars) -> str:
    """Return a plot in words."""
    if isinstance(plot, Histogram):
        counts = np.asarray(plot.counts, np.float64)
        most = int(counts.argmax())
        return (f'{plot.title}: from {plot.edges[0]:.3g} to {plot.edges[-1]:.3g} m, most often '
                f'{plot.edges[most]:.3g} to {plot.edges[most + 1]:.3g} m')
    if isinstance(plot, Bars):
        said = [f'{name} {value:.3g}' for name, value in plot.values.items()]
    else:
        said = [f'{name} {_range(values)}' for name, values in plot.lines.items()]
    return f'{plot.title}, {plot.unit}: {"; ".join(said)}'


def _range(values: Sequence[float]) -> str:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return 'never known'
    return f'median {np.median(known):.3g}, from {known.min():.3g} to {known.max():.3g}'


def _gallery(gallery: Gallery, limits: Limits) -> str:
    shown = ''.join(_sample(sample, limits) for sample in gallery.samples)
    return f'<div class="thumbs"></div>\n{shown}{_scale(limits)}'


def _limits(sections: Iterable[Section]) -> Limits:
    """Return the metres of the first and last colour, the same for all frames of a page."""
    maps = [depth for section in sections if isinstance(section, Gallery)
            for sample in section.samples for depth in (sample.depth, sample.truth)
            if depth is not None]
    known = [np.percentile(finite, (1, 99)) for depth in maps
             if (finite := depth[np.isfinite(depth) & (depth > 0)]).size]
    if not known:
        return 0.0, 1.0
    near, far = float(min(low for low, _ in known)), float(max(high for _, high in known))
    return near, max(far, near + LEAST_RANGE)


def _sample(sample: Sample, limits: Limits) -> str:
    height, width = sample.depth.shape
    caption = escape(sample.caption)
    panels = '' if sample.image is None else (
        f'<div class="panel"><img src="{picture(sample.image)}" alt="Image, {caption}">'
        '<span>image</span></div>\n')
    panels += _map(sample.depth, 'depth', caption, limits)
    if sample.truth is not None:
        panels += _map(sample.truth, 'ground truth', caption, limits)
    return (f'<figure class="sample" data-label="{escape(sample.label)}">\n'
            f'<div class="panels" tabindex="0" role="group" data-width="{width}" '
            f'data-height="{height}" data-step="{sample.step:.6g}" aria-label="{caption}: point, '
            f'or press the arrow keys, to read metres">\n{panels}</div>\n'
            f'<figcaption>{caption}</figcaption>\n<output aria-live="polite">Point at the depth '
            'to read metres.</output>\n</figure>\n')


def _map(depth: Depth, name: str, caption: str, limits: Limits) -> str:
    """Return a panel of depth; ``caption`` is escaped already."""
    code = encoded(depth)
    finite = depth[np.isfinite(depth) & (depth > 0)]
    said = f'median {np.median(finite):.2f} m' if finite.size else 'all unknown'
    return (f'<div class="panel" data-depth="{code.data}" data-step="{code.step:g}">'
            f'<img src="{coloured(depth, *limits)}" alt="{name.capitalize()}, {caption}: {said}">'
            f'<span>{name}</span></div>\n')


def _scale(limits: Limits) -> str:
    near, far = limits
    ramp = np.linspace(near, far, SCALE_STOPS, dtype=np.float32)[None]
    source = coloured(np.repeat(ramp, 2, axis=0), near, far)
    style = f'background: url({source}) 0 0 / 100% 100%'
    return (f'<p class="scale">{near:.1f} m <i style="{style}"></i> {far:.1f} m '
            '<b></b> no distance</p>\n')
