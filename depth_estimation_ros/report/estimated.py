# SPDX-License-Identifier: Apache-2.0
"""The report of a folder that estimate has written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..offline.formats import FORMATS, READERS, decoded
from ..offline.inputs import names_of, opened
from ..offline.job import FRAMES, JOB
from ..recordings import Recording, RecordingError, find_cameras, shots
from ..recordings.pictures import Pictures, natural
from ..ros.codec import CodecError, decode
from ..ros.decoder import CameraDecoder
from .collect import Collected, Moment
from .description import Report, Rgb, Section
from .frames import facts_of, frames_table, sections_of, thumbnail


def estimated_report(run: Path) -> Report:
    """
    Describe files of depth; their images are shown while the inputs are where they were.

    :raises RecordingError: when the folder's notes cannot be read, or it holds no depth.
    """
    job, accounts = _read(run / JOB), _read(run / FRAMES) if (run / FRAMES).is_file() else {}
    facts = {'Folder': str(run), 'Inputs': ', '.join(job.get('inputs', [])),
             'Model': str(job.get('model', 'unknown'))}
    notes: list[str] = []
    sections: list[Section] = [frames_table(accounts)] if accounts else []
    recordings = _recordings(run, job, notes)
    streams = list(_streams(run))
    if not streams:
        raise RecordingError(f'{run} holds no file of depth in {", ".join(READERS)}')
    for folder, kind, files in streams:
        prefix = f'{folder.name}: ' if len(streams) > 1 else ''
        collected = _collect(folder / kind, kind, files, notes)
        images = _images(recordings.get(folder), job.get('image', ''), collected, notes)
        facts |= {prefix + name: value for name, value in {
            'Read from': f'{kind}/', **facts_of(collected)}.items()}
        sections += sections_of(collected, images, prefix)
    return Report(f'Depth in {run.resolve().name}', facts, sections, notes)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RecordingError(f'{path} cannot be read: {error}') from error
    return found if isinstance(found, dict) else {}


def _streams(run: Path) -> Iterator[tuple[Path, str, Sequence[Path]]]:
    """Yield each folder of depth, the kind of file that loses least, and the files."""
    for folder in (run, *sorted(path for path in run.iterdir() if path.is_dir())):
        kind = next((kind for kind in READERS if (folder / kind).is_dir()), '')
        suffix = FORMATS[kind][0] if kind else ''
        files = sorted((folder / kind).rglob(f'*{suffix}'), key=natural) if kind else []
        if files:
            yield folder, kind, files


def _collect(folder: Path, kind: str, files: Sequence[Path], notes: list[str]) -> Collected:
    collected = Collected('frame')
    for file in files:
        try:
            depth = decoded(kind, file)
        except RecordingError as error:
            notes.append(str(error))
        else:
            collected.add(depth, name=str(file.relative_to(folder).with_suffix('')))
    return collected


def _recordings(run: Path, job: Mapping[str, Any], notes: list[str]) -> dict[Path, Recording]:
    """Return the inputs by the folder of their depth, where they are still there."""
    try:
        return {folder: recording for recording, folder in opened(job.get('inputs', []), run)}
    except (RecordingError, OSError) as error:
        notes.append(f'no images are shown: {error}')
        return {}


def _images(recording: Recording | None, topic: str, collected: Collected,
            notes: list[str]) -> dict[int, Rgb]:
    """Return the images of the frames that are shown, by number, each in its page's size."""
    wanted: dict[str, Moment] = {moment.name: moment for moment in collected.moments}
    found: dict[int, Rgb] = {}
    if recording is None:
        return found
    try:
        camera = find_cameras(recording, topic)[0]
        decoder = CameraDecoder(camera.image, decode)
        names = names_of(recording.files) if isinstance(recording, Pictures) else []
        for number, shot in enumerate(shots(recording, camera)):
            name = names[Pictures.number(shot.image)] if names else f'{number:06d}'
            if (moment := wanted.get(name)) is not None:
                found[moment.number] = thumbnail(decoder(shot.image.message), moment.depth.shape)
    except (RecordingError, CodecError) as error:
        notes.append(f'not all images are shown: {error}')
    return found
