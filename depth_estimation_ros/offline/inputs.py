# SPDX-License-Identifier: Apache-2.0
"""The inputs of estimate, the folder that each is written to, and what may not be one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..recordings import Recording, RecordingError, open_recording
from ..recordings.opening import files_of
from ..recordings.pictures import PICTURES, Pictures


def opened(inputs: Sequence[str], output: Path) -> Iterator[tuple[Any, Path]]:
    """Open the inputs, each with the folder that it is written to."""
    paths = [Path(path) for path in inputs]
    if len(paths) > 1 and all(path.is_file() and path.suffix.lower() in PICTURES
                              for path in paths):
        yield Pictures(f'{len(paths)} pictures', paths), output
        return
    for path in paths:
        recording = open_recording(str(path))
        if isinstance(recording, Pictures) and not path.is_file():
            recording = _outside(recording, output)
        yield recording, output / path.stem if len(paths) > 1 else output
    clashes = [name for name, count in Counter(path.stem for path in paths).items() if count > 1]
    if clashes:
        raise RecordingError(f'several inputs are called {clashes[0]}: name other outputs for '
                             'them')


def _outside(pictures: Pictures, output: Path) -> Pictures:
    """Leave out what a folder or glob has of the output: an earlier run's depth is no picture."""
    place = output.resolve()
    files = [file for file in pictures.files if place not in file.resolve().parents]
    if not files:
        raise RecordingError(f'{pictures.name} lies in the output {output}: name another --output')
    return Pictures(pictures.name, files)


def names_of(files: Sequence[Path]) -> list[str]:
    """Return a name for each picture: its path below all of them, with its suffix if need be."""
    folder = os.path.commonpath([file.absolute().parent for file in files])
    below = [Path(os.path.relpath(file.absolute(), folder)) for file in files]
    names = [str(path.with_suffix('')) for path in below]
    while len(set(names)) < len(names):  # a name with its suffix may be another's without: a.jpg
        counts = Counter(names)
        longer = [str(path) if counts[name] > 1 else name
                  for path, name in zip(below, names, strict=True)]
        if longer == names:  # one file twice
            break
        names = longer
    return names


def files_read(recordings: Iterable[Recording]) -> list[Path]:
    """Return the files of all inputs."""
    return [file for recording in recordings for file in (
        recording.files if isinstance(recording, Pictures) else files_of(recording.name))]


def check_places(files: Iterable[Path], places: Iterable[Path]) -> None:
    """
    Raise RecordingError where depth would replace an input.

    :param files: that are read.
    :param places: files that are written, and folders of such.
    """
    written = {place.resolve() for place in places}
    for file in files:
        found = file.resolve()
        if not written.isdisjoint((found, *found.parents)):
            raise RecordingError(f'{file} is an input and lies where depth would be written: name '
                                 'another --output')
