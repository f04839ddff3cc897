# SPDX-License-Identifier: Apache-2.0
"""The transforms of a recording that never change: /tf_static, or a namespace's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from ..core.rigid import IDENTITY, Rigid
from .errors import RecordingError
from .recording import Recording

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
            try:
                for transform in record.message.transforms:
                    self._add(transform)
            except (RecordingError, ValueError) as error:
                recording.warn(f'{recording.name}: {record.topic}: {error}')

    def between(self, parent: str, child: str) -> Rigid:
        """
        Return where a frame lies in another, through any chain of transforms.

        :raises RecordingError: when no chain of static transforms joins them.
        """
        found = dict(self._reached(_plain(parent)))
        if _plain(child) in found:
            return found[_plain(child)]
        known = ', '.join(sorted(self._neighbours)) or 'none'
        raise RecordingError(
            f"{self._name}: no chain of static transforms leads from '{parent}' to '{child}' "
            f"(frames in tf_static: {known}): give it by --transform")

    def _add(self, message: Any) -> None:
        """Keep a TransformStamped, both ways."""
        place, turn = message.transform.translation, message.transform.rotation
        rigid = Rigid.from_quaternion((place.x, place.y, place.z),
                                      (turn.x, turn.y, turn.z, turn.w))
        parent, child = _plain(message.header.frame_id), _plain(message.child_frame_id)
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


def _plain(frame: str) -> str:
    """Return a frame's name without the slash that ROS 1 began it with."""
    return frame.removeprefix('/')
