# SPDX-License-Identifier: Apache-2.0
"""Parts of a bag: what is noted of each, and what they are together."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..recordings.metadata import FILE_NAME
from ..recordings.opening import files_of

INFORMATION = 'rosbag2_bagfile_information'
CUSTOM = 'depth_estimation_ros'
"""Under this name metadata.yaml has the account of the frames."""


def part_note(folder: Path, accounts: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what is noted of a part.

    :param folder: as its writer has left it.
    :param accounts: what became of its frames, by image topic.
    """
    found = yaml.safe_load((folder / FILE_NAME).read_text())[INFORMATION]
    return {'metadata': found, 'accounts': accounts}


def metadata_file(notes: list[dict[str, Any]], accounts: Mapping[str, Any]) -> bytes:
    """
    Return the metadata.yaml of a directory of parts.

    :param notes: of all parts, in their order.
    :param accounts: by image topic, of all parts together.
    """
    metadata = merged([note['metadata'] for note in notes])
    metadata['custom_data'] = {CUSTOM: json.dumps(accounts, sort_keys=True)}
    return bytes(yaml.safe_dump({INFORMATION: metadata}), 'utf-8')


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the metadata of a directory of files from those of each."""
    files = [file for part in parts for file in part['files']]
    starts = [file['starting_time']['nanoseconds_since_epoch'] for file in files]
    ends = [start + file['duration']['nanoseconds'] for start, file in zip(starts, files)]
    counts: dict[str, int] = {}
    for part in parts:
        for entry in part['topics_with_message_count']:
            name = entry['topic_metadata']['name']
            counts[name] = counts.get(name, 0) + entry['message_count']
    topics = [{**entry, 'message_count': counts[entry['topic_metadata']['name']]}
              for entry in parts[0]['topics_with_message_count']]
    return {**parts[0], 'files': files, 'relative_file_paths': [file['path'] for file in files],
            'starting_time': {'nanoseconds_since_epoch': min(starts)},
            'duration': {'nanoseconds': max(ends) - min(starts)},
            'message_count': sum(counts.values()), 'topics_with_message_count': topics}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in which of its values a job is another one than before."""
    plain = json.loads(json.dumps(now))
    return ', '.join(f'{key} {before.get(key)} instead of {value}'
                     for key, value in sorted(plain.items()) if before.get(key) != value)


def source_of(path: str) -> list[tuple[str, int, int]]:
    """Return what tells a recording from another: its files, their sizes and times."""
    return [(os.path.relpath(file, Path(path).parent), file.stat().st_size,
             file.stat().st_mtime_ns) for file in sorted(files_of(path))]
