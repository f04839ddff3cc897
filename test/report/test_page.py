# SPDX-License-Identifier: Apache-2.0
"""A page says what its description says, needs nothing else, and runs nobody else's script."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from depth_estimation_ros.report import (
    Bars,
    Gallery,
    Histogram,
    Report,
    Sample,
    Series,
    Table,
    html_of,
)
from depth_estimation_ros.report.depth_code import BEYOND, NEARER, UNKNOWN, encoded
from depth_estimation_ros.report.page import spoken
from depth_estimation_ros.report.plots import POINTS, spread, svg_of

HOSTILE = '</script><img onerror="alert(1)" src=x>&\'$style'
RAMP = np.linspace(0.5, 6, 48, dtype=np.float32).reshape(6, 8)


def sample(text: str = 'frame 0') -> Sample:
    return Sample(text, text, RAMP, RAMP / 1.1, np.zeros((6, 8, 3), np.uint8), 2)


def report(text: str) -> Report:
    """A report with a text in every place that has one."""
    return Report(text, {text: text}, [
        Table(text, (text, text), [(text, '7')], text),
        Series(text, (0.0, 1.0), {text: (1.0, 2.0)}, text, text, text),
        Histogram(text, (0.0, 1.0, 2.0), (3.0, 4.0), text, text),
        Bars(text, {text: 1.0}, text, text), Gallery(text, [sample(text)], text)], [text])


class Seen(HTMLParser):
    """Tags, attributes and texts as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(name, value or '') for name, value in attributes]
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_foreign_text_stays_text() -> None:
    plain, hostile = Seen(html_of(report('plain'))), Seen(html_of(report(HOSTILE)))
    assert hostile.tags == plain.tags and not hostile.open
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    said = sum(text == HOSTILE for text in hostile.texts)
    assert said == sum(text == 'plain' for text in plain.texts) > 10
    assert not [name for name, _ in hostile.attributes if name.startswith('on')]


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = html_of(report('plain'))
    assert not re.search(r'https?:|//\w', re.sub(r'base64,[\w+/=]+|// The codes.*', '', page))
    seen = Seen(page)
    sources = [value for name, value in seen.attributes if name in ('src', 'href', 'srcset')]
    assert len(sources) == 6 and all(source.startswith('data:image/') for source in sources)
    assert not {'link', 'iframe', 'object', 'base', 'form'} & set(seen.tags)
    assert all(source.startswith('data:') for source in re.findall(r'url\((.{5})', page))


def test_the_browser_is_told_to_run_this_script_only() -> None:
    page = html_of(report('plain'))
    script, = re.findall(r'<script>(.*)</script>', page, re.DOTALL)
    policy, = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == ("default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                      f"script-src 'sha256-{digest}'")


def decoded(text: str) -> np.ndarray:
    """What the page's script makes of a map."""
    change = np.frombuffer(zlib.decompress(base64.b64decode(text)), '<u2')
    return np.cumsum(change, dtype=np.uint16)


def test_depth_is_held_to_the_millimetre() -> None:
    depth = RAMP.copy()
    depth[0, :4] = np.nan, np.inf, -np.inf, 0.0
    code = encoded(depth)
    assert (code.width, code.height, code.step) == (8, 6, 0.001)
    found = decoded(code.data)
    assert list(found[:4]) == [UNKNOWN, BEYOND, NEARER, UNKNOWN]
    np.testing.assert_allclose(found[4:] * code.step, depth.ravel()[4:], atol=0.0005001)


@pytest.mark.parametrize(('farthest', 'step'), [(65.5, 0.001), (66.0, 0.002), (200.0, 0.005)])
def test_far_depth_has_coarser_steps(farthest: float, step: float) -> None:
    code = encoded(np.array([[farthest, np.nan, 1.0]], np.float32))
    assert code.step == step
    assert decoded(code.data)[0] * step == pytest.approx(farthest, abs=step)


def test_depth_without_a_distance_is_drawn() -> None:
    nothing = np.full((4, 4), np.nan, np.float32)
    page = html_of(Report('nothing', {}, [Gallery('frames', [Sample('a', 'a', nothing)])]))
    assert 'all unknown' in page
    assert html_of(Report('empty', {}, [])).count('<section') == 0


def test_a_plot_is_told_in_words() -> None:
    assert spoken(Series('Latency', (0, 1, 2), {'latency': (4.0, float('nan'), 9.0)}, 'ms')) == (
        'Latency, ms: latency median 6.5, from 4 to 9')
    assert spoken(Histogram('Depth', (1.0, 2.0, 3.0), (3.0, 7.0))) == (
        'Depth: from 1 to 3 m, most often 2 to 3 m')
    assert spoken(Bars('AbsRel', {'top': 0.25}, 'AbsRel')) == 'AbsRel, AbsRel: top 0.25'


def test_a_long_run_keeps_its_outliers() -> None:
    values = np.ones(100_000)
    values[54_321] = 99.0
    places, (least, middle, largest) = spread(np.arange(100_000).tolist(), values.tolist())
    assert len(places) == POINTS and places[0] == 0
    assert largest.max() == 99 and middle.max() == 1 and least.min() == 1
    assert len(svg_of(Series('', range(100_000), {'a': values.tolist()}, ''))) < 100_000


def test_the_same_report_is_the_same_page() -> None:
    assert html_of(report('plain')) == html_of(report('plain'))


def test_a_dollar_in_a_name_is_a_dollar() -> None:
    drawn = svg_of(Series('', range(3), {'$a_{$': [1.0, 2.0, 3.0], 'b': [1.0] * 3}, '$/h^$'))
    assert '$a_{$' in drawn and '$/h^$' in drawn
