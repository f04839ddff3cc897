# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: it reads metres, chooses frames, and loads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_estimation_ros.report import html_of, report_of

from . import chromium
from .chromium import Browser
from .runs import SHAPE, depth_map, drive, processed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(chromium.missing()), reason=(
        f'not installed: {chromium.missing()} (apt install chromium chromium-driver)'))]

EVEN = 'section:nth-of-type(6)'
SHOWN = f'{EVEN} .sample:not([hidden])'
ROUNDING = 0.0056
"""Metres: to the millimetre in the page, then to the centimetre in words."""

ARROW_RIGHT, ARROW_DOWN = '\ue014', '\ue015'


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.chromium(tmp_path_factory.mktemp('profile')) as browser:
        yield browser


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('report')
    run = processed(folder / 'run', drive())
    page = folder / 'report.html'
    page.write_text(html_of(report_of(run)))
    return page


@pytest.fixture(params=[1200, 400], ids=['wide', 'narrow'])
def opened(request: pytest.FixtureRequest, browser: Browser, page: Path) -> Browser:
    browser.resize(request.param, 900)
    browser.open(page)
    return browser


def reading(browser: Browser) -> str:
    """What the shown frame says, once its script is through."""
    browser.devtools('Runtime.evaluate', awaitPromise=True, expression=(
        'new Promise(done => setTimeout(done, 100))'))
    return str(browser.run(f"return document.querySelector('{SHOWN} output').textContent"))


def metres_in(said: str) -> list[float]:
    """The depth, and the truth, that a reading has."""
    return [float(number) for number in re.findall(r'([\d.]+) m\b', said)]


def hovered(browser: Browser, x: int, y: int, panel: int = 2) -> str:
    """Point at a pixel of the depth and return the reading."""
    css = f'{SHOWN} .panel:nth-child({panel})'
    width, height = browser.run(f"const box = document.querySelector('{css}')"
                                '.getBoundingClientRect(); return [box.width, box.height]')
    browser.point(css, round((x + 0.5) / SHAPE[1] * width - width / 2),
                  round((y + 0.5) / SHAPE[0] * height - height / 2))
    return reading(browser)


@pytest.mark.parametrize('panel', [1, 2, 3], ids=['image', 'depth', 'truth'])
def test_a_hover_reads_the_metres_of_that_pixel(opened: Browser, panel: int) -> None:
    for x, y in ((10, 20), (64, 48), (120, 80)):
        said = hovered(opened, x, y, panel)
        column, row = map(int, re.findall(r'[xy] (\d+)', said))
        assert abs(column - x) <= 1 and abs(row - y) <= 1  # the mouse stands on whole pixels
        depth = float(depth_map(0)[row, column])
        assert metres_in(said) == pytest.approx([depth, depth / 1.1], abs=ROUNDING)


def test_a_click_chooses_the_frame_that_is_read(opened: Browser) -> None:
    opened.click(f'{EVEN} .thumbs button:last-child')
    caption = opened.run(f"return document.querySelector('{SHOWN} figcaption').textContent")
    number = int(caption.split(',')[0].removeprefix('frame '))
    assert number == 9
    assert opened.run("return document.querySelectorAll"
                      f"('{EVEN} [aria-pressed=true]').length") == 1
    assert np.isnan(depth_map(9)[4, 30]) and np.isfinite(depth_map(0)[4, 30])
    assert ': unknown, truth' in hovered(opened, 30, 4)
    assert ': beyond range' in hovered(opened, 30, SHAPE[0] - 1)


def test_the_keyboard_reads_metres_too(opened: Browser) -> None:
    opened.press(f'{SHOWN} .panels', ARROW_RIGHT + 2 * ARROW_DOWN)
    x, y = SHAPE[1] // 2 + 1, SHAPE[0] // 2 + 2
    assert reading(opened).startswith(f'x {x}, y {y}: ')
    assert metres_in(reading(opened))[0] == pytest.approx(depth_map(0)[y, x], abs=ROUNDING)


def test_a_touch_reads_metres_too(opened: Browser) -> None:
    x, y = opened.run(f"const panel = document.querySelector('{SHOWN} .panel:nth-child(2)');"
                      "panel.scrollIntoView({block: 'center'});"
                      'const box = panel.getBoundingClientRect();'
                      'return [box.left + box.width / 4, box.top + box.height / 2]')
    for kind, points in (('touchStart', [{'x': x, 'y': y}]), ('touchEnd', [])):
        opened.devtools('Input.dispatchTouchEvent', type=kind, touchPoints=points)
    assert metres_in(reading(opened))[0] == pytest.approx(
        depth_map(0)[SHAPE[0] // 2, SHAPE[1] // 4], abs=0.05)


def test_the_page_fits_its_window_and_runs_no_foreign_script(opened: Browser) -> None:
    assert opened.run('return document.documentElement.scrollWidth <= innerWidth')
    assert opened.run("return performance.getEntriesByType('resource')"
                      ".filter(one => !one.name.startsWith('data:')).length") == 0
    blocked = opened.run("""
        const script = document.createElement('script');
        script.textContent = 'window.foreign = 1';
        document.body.append(script);
        const image = new Image();
        image.setAttribute('onerror', 'window.foreign = 2');
        image.src = 'data:,';
        document.body.append(image);
        return window.foreign ?? 'blocked'""")
    assert blocked == 'blocked'
    assert opened.errors() and all('Content Security' in text for text in opened.errors())


def test_a_screenshot_shows_every_section(opened: Browser, tmp_path: Path) -> None:
    opened.screenshot(tmp_path / 'page.png')
    taken = cv2.imread(str(tmp_path / 'page.png'))
    assert taken is not None
    boxes = opened.run("return [...document.querySelectorAll('section')].map(one => {"
                       'const box = one.getBoundingClientRect();'
                       'return [box.top + scrollY, box.bottom + scrollY,'
                       'box.left, box.right].map(Math.round)})')
    assert len(boxes) == 8
    for top, bottom, left, right in boxes:
        assert bottom - top > 60 and taken[top:bottom, left:right].std() > 5


def test_without_script_and_on_paper_every_frame_is_there(browser: Browser, page: Path) -> None:
    browser.devtools('Emulation.setEmulatedMedia', media='print')
    browser.open(page)
    try:
        heights = browser.run("return [...document.querySelectorAll('.sample')]"
                              '.map(one => one.offsetHeight)')
    finally:
        browser.devtools('Emulation.setEmulatedMedia', media='')
    assert len(heights) > 8 and min(heights) > 20
    assert 'hidden' not in page.read_text().split('<main>')[1].split('<script>')[0]
