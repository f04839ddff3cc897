# SPDX-License-Identifier: Apache-2.0
"""Depth in folders, as the NYU, KITTI and TUM benchmarks write it, matched with images."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from ..recordings import RecordingError
from ..recordings.pictures import PICTURES, natural

PER_METRE: Mapping[str, int] = {'nyu': 1000, 'kitti': 256, 'tum': 5000}
"""What one metre is in a 16-bit PNG of each benchmark; 0 is unknown in all."""

TOLERANCE = 0.02
"""Seconds by which the names of TUM's images and depth may differ, as its own tool has it."""


def files_in(folder: Path) -> list[Path]:
    """
    Return the pictures and .npy files of a folder, in the order of their names.

    :raises RecordingError: when there is none.
    """
    if not folder.is_dir():
        raise RecordingError(f'{folder} is not a folder')
    files = sorted((file for file in folder.iterdir()
                    if file.suffix.lower() in (*PICTURES, '.npy')), key=natural)
    if not files:
        raise RecordingError(f'{folder} holds no picture and no .npy file')
    return files


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a colour image, H×W×3; raises RecordingError when it is none."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise RecordingError(f'{path} cannot be read as a picture')
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def read_depth(path: Path, per_metre: int) -> NDArray[np.float32]:
    """
    Read a depth map.

    :param path: a 16-bit picture in the convention, or metres as .npy or a picture of floats.
    :param per_metre: what one metre is in 16 bits.
    :return: metres, H×W; NaN where 16 bits hold 0.
    :raises RecordingError: when it is no depth map.
    """
    pixels = read_pixels(path)
    if pixels is None or pixels.ndim != 2 or pixels.dtype.kind not in 'fu' or (
            pixels.dtype == np.uint8):
        raise RecordingError(f'{path} is no depth: a 16-bit PNG of one channel is, or metres as '
                             'float')
    if pixels.dtype.kind == 'f':
        return pixels.astype(np.float32)
    return np.where(pixels == 0, np.nan, pixels / per_metre).astype(np.float32)


def read_pixels(path: Path) -> NDArray | None:
    """
    Read a picture as it is stored, or a .npy file.

    :return: the array in the file, of any type and shape; None for no picture.
    :raises RecordingError: when a .npy file holds no array.
    """
    if path.suffix == '.npy':
        try:
            return np.asarray(np.load(path))
        except (ValueError, EOFError, BadZipFile) as error:
            raise RecordingError(f'{path} is no array: {error}') from error
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return None if read is None else np.asarray(read)


def matched(images: list[Path], others: list[Path],
            convention: str) -> Iterator[tuple[Path, Path | None]]:
    """
    Yield each image and what belongs to it, or None.

    TUM's names are times; in the others' the numbers are the same.

    :raises RecordingError: when numbers are used twice, so that they do not tell.
    """
    yield from (_by_time if convention == 'tum' else _by_number)(images, others)


def _by_number(images: list[Path], others: list[Path]) -> Iterator[tuple[Path, Path | None]]:
    known = _numbered(others)
    yield from ((image, known.get(number)) for number, image in _numbered(images).items())


def _numbered(files: list[Path]) -> dict[tuple[str, ...], Path]:
    """Return files by the numbers in their names, or by the whole name where it has none."""
    numbered: dict[tuple[str, ...], Path] = {}
    for file in files:
        number = tuple(re.findall(r'\d+', file.stem)) or (file.stem,)
        if number in numbered:
            raise RecordingError(f'{file} and {numbered[number].name} have the same numbers: keep '
                                 'one camera a folder')
        numbered[number] = file
    return numbered


def _by_time(images: list[Path], others: list[Path]) -> Iterator[tuple[Path, Path | None]]:
    times = sorted((_time(file), file) for file in others)
    for image in images:
        time = _time(image)
        place = bisect_left(times, (time, Path()))
        near = min(times[max(place - 1, 0):place + 1], key=lambda one: abs(one[0] - time))
        yield image, near[1] if abs(near[0] - time) <= TOLERANCE else None


def _time(file: Path) -> float:
    try:
        return float(file.stem)
    except ValueError:
        raise RecordingError(f"{file} is not named by a time in seconds, as TUM's files are"
                             ) from None
