# SPDX-License-Identifier: Apache-2.0
"""Find out what lies at a path, by its content rather than its name, and open it."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path

import cv2

from . import mcap_layout, packed_file, ros1_file, sqlite_file
from .directory import Directory
from .errors import RecordingError
from .mcap_file import McapFile
from .metadata import FILE_NAME
from .packed_file import PackedFile, is_packed
from .pictures import PICTURES, VIDEOS, Pictures, Video
from .recording import Recording
from .ros1_file import Ros1File
from .sqlite_file import SqliteFile

KINDS = ('a rosbag2 directory, an .mcap, .db3 or .bag file, a folder or glob of pictures, '
         'or a video')
BAGS: dict[bytes, Callable[[Path], Recording]] = {
    mcap_layout.MAGIC: McapFile, sqlite_file.MAGIC: SqliteFile, ros1_file.MAGIC: Ros1File,
}
PLAIN = ('.mcap', '.db3', '.bag', '.active')
SUFFIXES = (*PLAIN, *packed_file.SUFFIXES)


def open_recording(source: Path | str) -> Recording:
    """
    Open a bag of any kind, pictures, or a video.

    :param source: a path, or a pattern of pictures such as 'drive/*.png'.
    :raises RecordingError: when nothing there can be read; the text says what to do.
    """
    path = Path(source)
    try:
        if path.is_dir():
            return _open_directory(path)
        if path.name == FILE_NAME and path.is_file():
            return _open_directory(path.parent)
        if path.is_file():
            return _open_file(path)
        return _open_pattern(str(source))
    except PermissionError as error:
        raise RecordingError(f'{error.filename} cannot be read: permission denied') from error


def files_of(source: Path | str) -> list[Path]:
    """Return the files that a recording is read from; none where there is none."""
    path = Path(source)
    path = path.parent if path.name == FILE_NAME else path
    if path.is_file():
        return [path, *_beside([path])]
    if not path.is_dir():
        matches = _matches(str(source))
        return _pictures(matches) or matches
    files = sorted(file for file in path.iterdir() if file.is_file())
    bags = [file for file in files if _is_bag(file)]
    named = [file for file in files if bags and file.name == FILE_NAME]
    return [*(bags or _pictures(files)), *_beside(bags), *named]


def _beside(bags: list[Path]) -> list[Path]:
    """Return SQLite's logs and journals; what else it leaves there tells nothing of messages."""
    logs = (bag.with_name(f'{bag.name}-{kind}')  # which readers make, empty
            for bag in bags for kind in ('wal', 'journal'))
    return [log for log in logs if log.is_file() and log.stat().st_size]


def _matches(pattern: str) -> list[Path]:
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207, Path.glob takes no absolute ones
    return sorted(path for path in map(Path, matches) if path.is_file())


def _pictures(files: list[Path]) -> list[Path]:
    return [file for file in files if file.suffix.lower() in PICTURES]


def _open_pattern(pattern: str) -> Recording:
    files = _matches(pattern)
    pictures = _pictures(files)
    if pictures:
        return Pictures(pattern, pictures)
    if len(files) == 1:
        return _open_file(files[0])
    raise RecordingError(f'{pattern} does not exist' if not files else
                         f'{pattern} matches {len(files)} files and no picture; name one of them')


def _open_file(path: Path) -> Recording:
    if not path.stat().st_size:
        raise RecordingError(f'{path} is empty: its recorder ended before it wrote anything')
    with path.open('rb') as stream:
        beginning = stream.read(16)
    for magic, kind in BAGS.items():
        if beginning.startswith(magic):
            return kind(path)
    if is_packed(path):
        return PackedFile(path, _open_file)
    if path.suffix.lower() in SUFFIXES:
        raise RecordingError(f'{path} does not begin as a {path.suffix} file does: it is damaged, '
                             'or something else')
    if path.suffix.lower() in PICTURES or cv2.haveImageReader(str(path)):
        return Pictures(str(path), [path])
    try:
        return Video(path)
    except RecordingError as error:
        if path.suffix.lower() in VIDEOS:
            raise
        raise RecordingError(f'{path} is not {KINDS}') from error


def _open_directory(path: Path) -> Recording:
    files = sorted(file for file in path.iterdir() if file.is_file())
    bags = [file for file in files if _is_bag(file)]
    if bags:
        return Directory(path, bags, _open_file)
    if pictures := _pictures(files):
        return Pictures(str(path), pictures)
    raise RecordingError(f'{path} is not {KINDS}{_hint(path, files)}')


def _is_bag(path: Path) -> bool:
    with path.open('rb') as stream:
        beginning = stream.read(16)
    named = path.suffix == '.zstd' or (path.suffix == '.zst' and Path(path.stem).suffix in PLAIN)
    return beginning.startswith(tuple(BAGS)) or (named and is_packed(path))


def _hint(path: Path, files: list[Path]) -> str:
    """Return what the user may have meant by a directory without a recording."""
    empty = [file.name for file in files
             if not file.stat().st_size and file.suffix in SUFFIXES]
    if empty:
        return f': {", ".join(empty)} is empty, its recorder ended before it wrote anything'
    below = sorted(child for child in path.iterdir()
                   if child.suffix.lower() in VIDEOS or (child / FILE_NAME).is_file())
    return f'; name one of {", ".join(map(str, below[:5]))}' if below else ''
