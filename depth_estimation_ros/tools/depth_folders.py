# SPDX-License-Identifier: Apache-2.0
"""Depth in folders, as the NYU, KITTI and TUM benchmarks write it, matched with images."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..offline.formats import stored
from ..recordings import RecordingError
from ..recordings.pictures import PICTURES, natural, read_bgr
from ..ros.bits import BitsInUse
from ..ros.codec import ENCODINGS, to_rgb

PER_METRE: Mapping[str, int] = {'nyu': 1000, 'kitti': 256, 'tum': 5000}
"""What one metre is in a 16-bit PNG of each benchmark; 0 is unknown in all."""

ARRAYS = ('npy', 'npz', 'pfm', 'exr')
"""The kinds of files that hold depth as it is, each with its name for a suffix."""

TOLERANCE = 0.02
"""Seconds by which the names of TUM's images and depth may differ, as its own tool has it."""


def files_in(folder: Path) -> list[Path]:
    """
    Return the pictures and arrays of a folder, in the order of their names.

    Hidden ones are left out: macOS leaves a ._NAME beside every file that it copies.

    :raises RecordingError: when there is none.
    """
    if not folder.is_dir():
        raise RecordingError(f'{folder} is not a folder')
    files = sorted((file for file in folder.iterdir() if not file.name.startswith('.') and (
        file.suffix.lower() in PICTURES or _kind(file))), key=natural)
    if not files:
        raise RecordingError(f'{folder} holds no picture and no file of {", ".join(ARRAYS)}')
    return files


def _kind(path: Path) -> str:
    """Return a name in ARRAYS; '' for a picture."""
    kind = path.suffix.lower().removeprefix('.')
    return kind if kind in ARRAYS else ''


def read_rgb(path: Path, bits: BitsInUse) -> NDArray[np.uint8]:
    """
    Read a colour image.

    :param bits: what is known of the 16-bit pictures of its folder.
    :return: uint8 RGB, H×W×3.
    :raises RecordingError: when it is none.
    """
    try:
        bgr = read_bgr(path)
    except cv2.error as error:
        raise _unreadable(path, error) from error
    if bgr is None:
        raise RecordingError(f'{path} cannot be read as a picture')
    encoding = f'bgr{8 * bgr.itemsize}'
    return to_rgb(bgr, ENCODINGS[encoding], bits.observe(bgr, encoding))


def _unreadable(path: Path, error: cv2.error) -> RecordingError:
    return RecordingError(f'{path} cannot be read as a picture: '
                          f'{" ".join((error.err or str(error)).split())}')


def read_depth(path: Path, per_metre: int) -> NDArray[np.float32]:
    """
    Read a depth map.

    :param path: whole numbers in the convention, of 16 bits or more, in a picture or an array; or
        metres as floats.
    :param per_metre: what one metre is in whole numbers.
    :return: metres, H×W; NaN where whole numbers are not above 0.
    :raises RecordingError: when it is no depth map.
    """
    pixels = read_pixels(path)
    if pixels is None:
        raise RecordingError(f'{path} cannot be read as a picture')
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 or pixels.dtype.kind not in 'fiu' or pixels.itemsize == 1:
        raise RecordingError(f'{path} is no depth: a 16-bit PNG of one channel is, or metres as '
                             'float')
    if pixels.dtype.kind == 'f':
        return pixels.astype(np.float32)
    return np.where(pixels <= 0, np.nan, pixels / per_metre).astype(np.float32)


def read_pixels(path: Path) -> NDArray | None:
    """
    Read a picture as it is stored, or a file of one of :data:`ARRAYS`.

    :return: the array in the file, of any type and shape; None for no picture.
    :raises RecordingError: when a file holds no array, or a picture claims an absurd size.
    """
    if kind := _kind(path):
        return stored(kind, path)
    try:
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _unreadable(path, error) from error
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
