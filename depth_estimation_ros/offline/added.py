# SPDX-License-Identifier: Apache-2.0
"""What is added to a bag: of which cameras, and under which topics."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..recordings import CAMERA_INFO, IMAGE, Camera, Recording, RecordingError, find_cameras
from ..recordings.cameras import namespace

NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')
"""A relative name as ROS 2 allows it."""


@dataclass(frozen=True)
class ProcessOptions:
    """What is made of a bag."""

    images: tuple[str, ...] = ()
    """Image topics; without one the first of each namespace."""
    name: str = 'depth'
    """What the new topics are called below a camera's namespace."""
    preview: bool = False
    preview_far: float = 10.0
    """Metres of the preview's last colour."""
    part: float = 30.0
    """Seconds of recording in one file, which is what a kill can cost."""


@dataclass(frozen=True)
class Outputs:
    """The topics that are added for one camera."""

    camera: Camera
    depth: str
    info: str | None
    preview: str | None

    @property
    def topics(self) -> dict[str, str]:
        """The types by topic."""
        named = {self.depth: IMAGE, self.info: CAMERA_INFO, self.preview: IMAGE}
        return {topic: kind for topic, kind in named.items() if topic}


def outputs_of(recording: Recording, options: ProcessOptions) -> list[Outputs]:
    """Return what is added for each camera; raises RecordingError when a topic cannot be."""
    cameras = [find_cameras(recording, image)[0] for image in options.images] or _one_each(
        find_cameras(recording))
    if not NAME.fullmatch(options.name) or '__' in options.name:
        raise RecordingError(f"'{options.name}' is no name of topics: --name takes letters, "
                             'digits and single _, no digit first, parts joined by /')
    made = [_outputs(camera, options) for camera in cameras]
    taken = set(recording.channels)
    for outputs in made:
        for topic in outputs.topics:
            if topic in taken:
                raise RecordingError(f'{topic} is there already: choose other names by --name, '
                                     'or one image of each namespace by --image')
        taken |= outputs.topics.keys()
    return made


def _one_each(cameras: list[Camera]) -> list[Camera]:
    first: dict[str, Camera] = {}
    for camera in cameras:
        first.setdefault(namespace(camera.image), camera)
    return list(first.values())


def _outputs(camera: Camera, options: ProcessOptions) -> Outputs:
    below = f'{namespace(camera.image)}/{options.name}'
    return Outputs(Camera(camera.image, camera.info), f'{below}/image_rect',
                   f'{below}/camera_info' if camera.info else None,
                   f'{below}/preview' if options.preview else None)
