# SPDX-License-Identifier: Apache-2.0
"""rosbag2's metadata.yaml, as far as it can be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .recording import Channel
from .types import normalised

FILE_NAME = 'metadata.yaml'


@dataclass
class Metadata:
    """What a recorder wrote beside its files when it ended."""

    files: list[str] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    """Nanoseconds, the time of each file's first message."""
    channels: dict[str, Channel] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_counted(self) -> bool:
        """Whether any message is counted; a recorder that was killed may have left zeros."""
        return any(channel.count for channel in self.channels.values())


def read_metadata(folder: Path) -> Metadata:
    """Read a directory's metadata; what is missing or wrong in it is left out and named."""
    path = folder / FILE_NAME
    remedy = f'the files are read without it; ros2 bag reindex {folder} writes it'
    if not path.is_file():
        return Metadata(warnings=[f'{folder} has no {FILE_NAME}: {remedy}'])
    try:
        found = yaml.safe_load(path.read_text())['rosbag2_bagfile_information']
        return Metadata([Path(name).name for name in found['relative_file_paths']],
                        _starts(found), _channels(found))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError,
            AttributeError) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        return Metadata(warnings=[f'{path} cannot be used ({reason}): {remedy}'])


def _starts(found: dict[str, Any]) -> dict[str, int]:
    return {Path(file['path']).name: int(file['starting_time']['nanoseconds_since_epoch'])
            for file in found.get('files') or []}


def _channels(found: dict[str, Any]) -> dict[str, Channel]:
    channels, entries = {}, found['topics_with_message_count'] or []
    counted = sum(int(entry['message_count']) for entry in entries)
    if counted != int(found['message_count']):
        raise ValueError(f"its topics have {counted} messages of {found['message_count']}")
    for entry in entries:
        topic = entry['topic_metadata']
        if topic.get('serialization_format', 'cdr') == 'cdr':
            channels[topic['name']] = Channel(
                normalised(topic['type']), int(entry['message_count']),
                qos=_yaml(topic.get('offered_qos_profiles')))
    return channels


def _yaml(profiles: Any) -> str:
    """Return the QoS profiles as text; since version 9 they are no text in the file."""
    return profiles if isinstance(profiles, str) else yaml.safe_dump(profiles) if profiles else ''
