# SPDX-License-Identifier: Apache-2.0
"""What a folder of depth is made of: noted by its first run, compared by those that follow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..recordings import RecordingError
from .cloud import CLOUDS
from .files import fault, read_note, write_whole
from .formats import FORMATS

JOB, FRAMES = 'estimate.json', 'frames.json'
PREVIEW, VIDEO = 'preview', 'video.mp4'
KINDS = (*FORMATS, *CLOUDS, PREVIEW, VIDEO)
"""What a folder may hold: a video, and folders of these names."""

CHANGES = {'fov': {*CLOUDS}, 'preview_far': {PREVIEW, VIDEO}}
"""The kinds that alone depend on an option."""


def signatures(files: Iterable[Path]) -> dict[str, list[int]]:
    """Return what tells whether a file is still the same: its size and its time of change."""
    return {str(file.absolute()): [file.stat().st_size, file.stat().st_mtime_ns]
            for file in files}


def begin_job(output: Path, job: dict[str, Any], kinds: Iterable[str], *, overwrite: bool) -> int:
    """
    Note what a folder is made of.

    :param job: what decides its content; 'files' holds the :func:`signatures` of the inputs.
    :param kinds: of the files that this run makes.
    :param overwrite: whether to make anew what is there.
    :return: when it was noted first, ns by the folder's file system. With ``overwrite`` that is
        now, so that a killed job's next run doesn't take an older job's files for its own.
    :raises RecordingError: when the folder holds what another job made.
    """
    note = output / JOB
    try:
        if note.is_file() and not overwrite and (made := _kinds_in(output)):
            return _go_on(note, job, made, set(kinds))
        if not overwrite and not note.is_file() and output.exists() and (
                not output.is_dir() or any(output.iterdir())):
            raise RecordingError(f'{output} exists and was not made by this command: name another '
                                 '--output, or --overwrite')
        write_whole(note, _text(job))
        return note.stat().st_mtime_ns
    except OSError as error:
        raise fault(output, error) from error


def _go_on(note: Path, job: dict[str, Any], made: set[str], wanted: set[str]) -> int:
    """Compare a job with the one before, and note what is new; return when that began."""
    before, since = read_note(note), note.stat()
    if before is None:
        raise RecordingError(f'{note} is damaged, which says what the depth beside it is of: name '
                             'another --output, or --overwrite')
    for option, kinds in CHANGES.items():
        if made & kinds and not wanted & kinds:
            job = {**job, option: before.get(option)}
    same = {'files', *(option for option, kinds in CHANGES.items() if not made & kinds)}
    if changed := sorted(key for key in job if key not in same and before.get(key) != job[key]):
        raise RecordingError(
            f'{note.parent} holds depth that was made with another {", ".join(changed)}: name '
            'another --output, or --overwrite')
    known = before.get('files', {})
    for file, found in job['files'].items():
        if known.get(file, found) != found:
            raise RecordingError(f'{file} has changed since its depth in {note.parent} was made: '
                                 'name another --output, or --overwrite')
    if job != before:
        write_whole(note, _text(job))
        os.utime(note, ns=(since.st_atime_ns, since.st_mtime_ns))
    return since.st_mtime_ns


def _text(job: dict[str, Any]) -> bytes:
    return json.dumps(job, indent=1).encode()


def _kinds_in(output: Path) -> set[str]:
    """Return which kinds of files there are, of one input or of several."""
    folders = (output, *(path for path in output.iterdir() if path.is_dir()))
    return {kind for kind in KINDS if any(_holds_file(folder / kind) for folder in folders)}


def _holds_file(path: Path) -> bool:
    return path.is_file() or any(found.is_file() for found in path.rglob('*'))
