# SPDX-License-Identifier: Apache-2.0
"""Files of a job that are there whole or not at all, and the line that says why one cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import whole_file
from ..recordings import RecordingError


def fault(path: Path, error: OSError) -> RecordingError:
    """Say in one line why something cannot be written."""
    return RecordingError(f'{path} cannot be written: {error.strerror or error}')


def read_note(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file notes; None where it is not there, or damaged."""
    try:
        return note_of(path.read_bytes())
    except FileNotFoundError:
        return None


def note_of(text: bytes) -> dict[str, Any] | None:
    """Return what a file's JSON notes; None where it is damaged."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def write_whole(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """
    Write a file whole or not at all, in a folder that is made where it is not there.

    :param lasting: whether it must be whole after a power failure too.
    :raises RecordingError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write_whole(path, data, lasting=lasting)
    except OSError as error:
        raise fault(path, error) from error
