# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium without a network, driven by the WebDriver protocol (W3C), which is HTTP."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--hide-scrollbars')
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'
"""What the protocol calls the reference of an element."""


def missing() -> str:
    """Return what is not installed, if anything."""
    return ', '.join(name for name in ('chromium', 'chromedriver') if not shutil.which(name))


class Browser:
    """One window."""

    def __init__(self, address: str, session: str) -> None:
        self._root = f'{address}/session/{session}'

    def open(self, page: Path) -> None:
        self._post('url', {'url': page.resolve().as_uri()})

    def resize(self, width: int, height: int) -> None:
        """Give the page a viewport, which may be narrower than any window."""
        self.devtools('Emulation.setDeviceMetricsOverride', width=width, height=height,
                      deviceScaleFactor=1, mobile=False)

    def devtools(self, command: str, **options: Any) -> Any:
        return self._post('goog/cdp/execute', {'cmd': command, 'params': options})

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return self._post('execute/sync', {'script': script, 'args': []})

    def find(self, css: str) -> Any:
        return self._post('element', {'using': 'css selector', 'value': css})

    def click(self, css: str) -> None:
        self._post(f'element/{self.find(css)[ELEMENT]}/click', {})

    def point(self, css: str, x: int, y: int) -> None:
        """Scroll to an element and move the mouse to a place counted from its middle."""
        element = self.find(css)
        self._post('execute/sync', {'args': [element], 'script': (
            "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})")})
        self._post('actions', {'actions': [{
            'type': 'pointer', 'id': 'mouse', 'parameters': {'pointerType': 'mouse'},
            'actions': [{'type': 'pointerMove', 'duration': 0, 'origin': element,
                         'x': x, 'y': y}]}]})

    def press(self, css: str, keys: str) -> None:
        self._post(f'element/{self.find(css)[ELEMENT]}/value', {'text': keys})

    def errors(self) -> list[str]:
        """Return what the browser's console has said since it was asked before."""
        return [entry['message'] for entry in self._post('se/log', {'type': 'browser'})]

    def screenshot(self, path: Path) -> None:
        """Write all of the page, also what a window does not show."""
        taken = self.devtools('Page.captureScreenshot', captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken['data']))

    def _post(self, what: str, content: Any) -> Any:
        return post(f'{self._root}/{what}', content)


def post(address: str, content: Any, method: str = 'POST') -> Any:
    request = urllib.request.Request(address, json.dumps(content).encode(), method=method,
                                     headers={'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)['value']
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()) from error


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """
    Start a browser and end it.

    :param profile: a fresh folder for what the browser keeps.
    """
    driver = subprocess.Popen(['chromedriver', '--port=0'], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        port = next(line.rstrip('.\n').rpartition(' ')[2] for line in driver.stdout
                    if 'started successfully on port' in line)
        address = f'http://127.0.0.1:{port}'
        session = post(f'{address}/session', {'capabilities': {'alwaysMatch': {
            'goog:chromeOptions': {'args': [*FLAGS, f'--user-data-dir={profile}']},
            'goog:loggingPrefs': {'browser': 'ALL'}}}})['sessionId']
        try:
            yield Browser(address, session)
        finally:
            post(f'{address}/session/{session}', {}, 'DELETE')
    finally:
        driver.terminate()
        driver.wait(timeout=10)
