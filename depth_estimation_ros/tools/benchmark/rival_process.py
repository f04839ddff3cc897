# SPDX-License-Identifier: Apache-2.0
"""A rival in a process of its own, under a Python of its own, timed a call at a time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from . import processes

PROGRAM = Path(__file__).with_name('rivals.py')
ANSWER_TIMEOUT = 300.0
"""Seconds within which a rival must have loaded its model, and must answer a call."""


class RivalError(RuntimeError):
    """A rival that cannot do what it is asked; the text says why."""


class RivalProcess:
    """Starts a rival, asks it for one timed call at a time, and ends it."""

    def __init__(self, python: Path, rival: str, model: Path, device: str,
                 precision: str) -> None:
        """
        Start a rival and wait until its model is loaded.

        :param python: the interpreter, of an environment with torch and transformers.
        :param rival: 'by_hand' or 'pipeline'.
        :param model: the checkpoint's folder.
        :raises RivalError: when it does not start.
        """
        self._log = tempfile.TemporaryFile('w+')  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, PROGRAM, '--rival', rival, '--model', model, '--device', device,
             '--precision', precision], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True, bufsize=1, env=_clean_environment())
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        Thread(target=self._listen, daemon=True).start()
        try:
            self.versions: dict[str, str] = self._answer()
        except RivalError:
            self.close()
            raise

    def time(self, images: Path, batch: int, flip: bool, keep: Path | None = None) -> float:
        """
        Time one call.

        :param images: a .npy file of uint8 RGB images, N×H×W×3, N at least ``batch``.
        :param keep: a .npy file to write the depth to.
        :return: milliseconds from host arrays to host arrays.
        :raises RivalError: when the call fails.
        """
        call = {'images': str(images), 'batch': batch, 'flip': flip,
                'keep': str(keep) if keep else None}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(call) + '\n')
        except OSError as error:
            raise RivalError(f'the rival has ended: {self._last_words()}') from error
        return float(self._answer()['ms'])

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        processes.end(self._process)
        self._log.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put('')

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=ANSWER_TIMEOUT)
        except queue.Empty:
            raise RivalError(f'no answer within {ANSWER_TIMEOUT:.0f} s') from None
        if not line:
            raise RivalError(f'the rival has ended: {self._last_words()}')
        answer: dict[str, Any] = json.loads(line)
        if 'error' in answer:
            raise RivalError(answer['error'])
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        return (self._log.read().strip() or 'it said nothing').splitlines()[-1]


def save_images(folder: Path, images: list[Any]) -> Path:
    """Write images of one size where a rival can read them; return the file."""
    height, width = images[0].shape[:2]
    path = folder / f'{width}x{height}.npy'
    np.save(path, np.stack(images))
    return path


def _clean_environment() -> dict[str, str]:
    """Return this environment without what ties a Python to this one's packages."""
    foreign = ('PYTHONPATH', 'PYTHONHOME', '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'LD_LIBRARY_PATH')
    return {name: value for name, value in os.environ.items() if name not in foreign}
