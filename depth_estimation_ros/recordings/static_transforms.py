# SPDX-License-Identifier: Apache-2.0
"""The transforms of a recording that never change: /tf_static, or a namespace's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from ..core.rigid import IDENTITY, Rigid
from .errors import RecordingError
from .frame_names import plain_frame
from .recording import Record, Recording

TYPE = 'tf2_msgs/msg/TFMessage'


class StaticTransforms:
    """A robot's frames, as far as they are fixed to each other."""

    def __init__(self, recording: Recording) -> None:
        """Read the topics named tf_static; a transform that is none is named in the warnings."""
        self._name = recording.name
        self._neighbours: dict[str, dict[str, Rigid]] = {}
        topics = [topic for topic, kind in recording.topics.items()
                  if kind == TYPE and topic.rpartition('/')[2] == 'tf_static']
        for record in recording.records(topics) if topics else ():
            for fault in self._faults(record):
                recording.warn(f'{recording.name}: {record.topic}: {fault}')

    def between(self, parent: str, child: str) -> Rigid:
        """
        Return where a frame lies in another, through any chain of transforms.

        :raises RecordingError: when no chain of static transforms joins them.
        """
        found = dict(self._reached(plain_frame(parent)))
        if plain_frame(child) in found:
            return found[plain_frame(child)]
        known = ', '.join(sorted(self._neighbours)) or 'none'
        raise RecordingError(
            f"{self._name}: no chain of static transforms leads from '{parent}' to '{child}' "
            f"(frames in tf_static: {known}): give it by --transform")

    def _faults(self, record: Record) -> Iterator[Exception]:
        """Keep the transforms of a message; yield what is wrong with it or with some of them."""
        try:
            transforms = record.message.transforms
        except RecordingError as error:
            yield error
            return
        for transform in transforms:
            try:
                self._add(transform)
            except ValueError as error:
                yield error

    def _add(self, message: Any) -> None:
        """Keep a TransformStamped, both ways."""
        place, turn = message.transform.translation, message.transform.rotation
        rigid = Rigid.from_quaternion((place.x, place.y, place.z),
                                      (turn.x, turn.y, turn.z, turn.w))
        parent, child = plain_frame(message.header.frame_id), plain_frame(message.child_frame_id)
        self._neighbours.setdefault(parent, {})[child] = rigid
        self._neighbours.setdefault(child, {})[parent] = rigid.inverse()

    def _reached(self, start: str) -> Iterator[tuple[str, Rigid]]:
        """Yield every frame that is joined to one, and where it lies in it."""
        seen, waiting = {start}, deque([(start, IDENTITY)])
        while waiting:
            name, place = waiting.popleft()
            yield name, place
            for other, step in self._neighbours.get(name, {}).items():
                if other not in seen:
                    seen.add(other)
                    waiting.append((other, place @ step))
