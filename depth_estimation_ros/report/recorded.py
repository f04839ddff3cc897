# SPDX-License-Identifier: Apache-2.0
"""The report of a recording that holds depth, read twice as a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from ..offline.parts import CUSTOM, INFORMATION
from ..recordings import (
    Camera,
    Estimate,
    Recording,
    RecordingError,
    find_estimates,
    metres,
    open_recording,
    shots,
    stamp_of,
)
from ..recordings.cameras import namespace
from ..recordings.metadata import FILE_NAME
from ..ros.codec import CodecError, decode
from ..ros.decoder import CameraDecoder
from .collect import Collected, Moment
from .description import Depth, Report, Rgb, Section, Series
from .frames import facts_of, frames_table, sections_of, thumbnail

LONGEST_DELAY = 60_000.0
"""Milliseconds; a recording was not made live whose messages are older than this."""


def recorded_report(path: Path) -> Report:
    """
    Describe a recording with depth.

    :raises RecordingError: when it cannot be read, or holds no depth.
    """
    recording = open_recording(path)
    accounts = accounts_of(path)
    estimates = [_as_noted(estimate, recording, accounts)
                 for estimate in find_estimates(recording)]
    if not estimates:
        raise RecordingError(f'{path} holds no depth: a topic …/image_rect of 16UC1 or 32FC1')
    facts = {'Recording': str(path)}
    notes: list[str] = []
    sections: list[Section] = [frames_table(accounts)] if accounts else []
    for estimate in estimates:
        prefix = f'{estimate.depth}: ' if len(estimates) > 1 else ''
        collected = collect(recording, estimate)
        facts |= {prefix + name: value for name, value in
                  _facts(recording, estimate, collected).items()}
        sections += sections_of(
            collected, images_of(recording, estimate, collected), prefix,
            timing(collected, prefix, live=estimate.image not in accounts))
        notes += collected.notes
    return Report(f'Depth of {path.resolve().name}', facts, sections,
                  [*notes, *recording.warnings])


def _facts(recording: Recording, estimate: Estimate, collected: Collected) -> dict[str, str]:
    facts = {'Depth': estimate.depth, 'Image': estimate.image or 'none',
             'Ground truth': estimate.truth or 'none'}
    if collected.frames:
        begin = datetime.fromtimestamp(recording.start / 1e9, timezone.utc)
        facts |= {'Begins': f'{begin:%Y-%m-%d %H:%M:%S} UTC',
                  'Duration': f'{collected.places[-1]:.1f} s'} if recording.start else {}
    return facts | facts_of(collected)


def accounts_of(path: Path) -> dict[str, Any]:
    """Return what process_bag noted of the frames of each image topic."""
    try:
        found = yaml.safe_load((path / FILE_NAME).read_text())[INFORMATION]['custom_data'][CUSTOM]
        accounts: dict[str, Any] = json.loads(found)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return accounts


def _as_noted(estimate: Estimate, recording: Recording, accounts: Mapping[str, Any]) -> Estimate:
    """Take the image that process_bag noted; its namespace may have others."""
    place = namespace(namespace(estimate.depth))
    noted = [topic for topic in accounts
             if namespace(topic) == place and topic in recording.channels]
    return replace(estimate, image=noted[0]) if noted else estimate


def collect(recording: Recording, estimate: Estimate) -> Collected:
    """Read a topic of depth with its ground truth."""
    collected = Collected()
    stream = shots(recording, Camera(estimate.depth, None, estimate.truth))
    for shot in tqdm(stream, desc=estimate.depth, unit='frame', disable=None, leave=False,
                     total=recording.channels[estimate.depth].count):
        depth = _metres(recording, shot.image)
        if depth is not None:
            collected.add(depth, stamp=stamp_of(shot.image.message), time=shot.image.time,
                          truth=_metres(recording, shot.truth))
    return collected


def _metres(recording: Recording, record: Any) -> Depth | None:
    """Return a message's depth; one that is broken is named in the warnings."""
    if record is None:
        return None
    try:
        return metres(record.message)
    except RecordingError as error:
        recording.warn(f'{recording.name}: {record.topic}: {error}')
        return None


def timing(collected: Collected, prefix: str, *, live: bool) -> Series | None:
    """
    Return latency over time, or the gaps between frames where times of recording say nothing.

    :param live: whether the depth was recorded when it was made.
    """
    if not collected.frames:
        return None
    delay = float(np.median(collected.delay_ms))
    if live and 0 < delay < LONGEST_DELAY:
        p50, p99 = np.percentile(collected.delay_ms, (50, 99))
        return Series(f'{prefix}Latency', collected.places, {'latency': collected.delay_ms}, 'ms',
                      f'From the capture stamp to the recording of the depth: p50 {p50:.1f} ms, '
                      f'p99 {p99:.1f} ms.')
    return Series(f'{prefix}Gaps between frames', collected.places, {'gap': collected.gap_ms},
                  'ms', 'From one capture stamp to the next that has depth.')


def images_of(recording: Recording, estimate: Estimate,
              collected: Collected) -> Mapping[int, Rgb]:
    """Return the images of the frames that are shown, by number, each in its page's size."""
    wanted: dict[int, Moment] = {moment.stamp: moment for moment in collected.moments}
    found: dict[int, Rgb] = {}
    decoder = CameraDecoder(estimate.image or '', decode)
    for record in recording.records([estimate.image]) if estimate.image and wanted else ():
        try:
            if (moment := wanted.pop(stamp_of(record.message), None)) is not None:
                found[moment.number] = thumbnail(decoder(record.message), moment.depth.shape)
        except (RecordingError, CodecError) as error:
            recording.warn(f'{recording.name}: {record.topic}: {error}')
    return found
