# SPDX-License-Identifier: Apache-2.0
"""Files of a job that are there whole or not at all, and the line that says why one cannot be."""

from __future__ import annotations

from pathlib import Path

from .. import whole_file
from ..recordings import RecordingError


def fault(path: Path, error: OSError) -> RecordingError:
    """Say in one line why something cannot be written."""
    return RecordingError(f'{path} cannot be written: {error.strerror or error}')


def write_whole(path: Path, data: bytes) -> None:
    """
    Write a file whole or not at all, in a folder that is made where it is not there.

    :raises RecordingError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write_whole(path, data)
    except OSError as error:
        raise fault(path, error) from error
