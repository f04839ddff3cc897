# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all, and the line that says why one cannot be."""

from __future__ import annotations

from pathlib import Path

from ..recordings import RecordingError


def fault(path: Path, error: OSError) -> RecordingError:
    """Say in one line why something cannot be written."""
    return RecordingError(f'{path} cannot be written: {error.strerror or error}')


def write_whole(path: Path, data: bytes) -> None:
    """
    Write a file under another name and rename it; nothing is left when that fails.

    :raises RecordingError: when it cannot be written.
    """
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)
        raise fault(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    if path.parent.is_dir():
        path.unlink(missing_ok=True)
