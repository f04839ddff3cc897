# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording make a camera: its images, its own calibration, its depth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .errors import RecordingError
from .frame_names import plain_frame
from .recording import Recording
from .types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from .video_messages import VIDEO, description_of

TRANSPORTS = r'/(compressed|compressedDepth|theora|zstd|ffmpeg|foxglove|draco|rvl)$'
NOT_COLOUR = re.compile(r'^(16S|32S|32F|64F)C\d|^16UC1$')
SAME_FOCAL = 0.02
"""How far the focal lengths of one view may differ, as a share."""

MOST_EMPTY = 100
"""Empty messages at a topic's beginning after which no more are looked for."""

TRUTH_NAMES = ('ground_truth', 'registered', 'aligned')
"""In the order in which depth topics of one camera are preferred."""


@dataclass(frozen=True)
class Camera:
    """The topics of one camera."""

    image: str
    info: str | None = None
    """Of type CameraInfo; never another camera's."""
    truth: str | None = None
    """Depth in the geometry of the image."""


def find_cameras(recording: Recording, image: str = '', truth: str = '') -> list[Camera]:
    """
    Return the cameras of a recording, rectified and colour ones first.

    :param image: the only image topic to look at, when given.
    :param truth: the depth topic to take for ground truth, when given.
    :raises RecordingError: when there is none; the text lists the topics that are there.
    """
    for name in filter(None, (image, truth)):
        if name not in recording.channels:
            raise RecordingError(f'{recording.name} has no topic {name}; {_listed(recording)}')
    firsts = _first_messages(recording, _of_types(
        recording, IMAGE, COMPRESSED_IMAGE, CAMERA_INFO, *VIDEO))
    images = {topic: message for topic, message in firsts.items() if _is_colour(topic, message)}
    if image and image not in images:
        raise RecordingError(f'{recording.name}: {image} holds no colour image that can be read; '
                             f'{_listed(recording)}')
    if not images:
        raise RecordingError(f'{recording.name} holds no colour image topic; {_listed(recording)}')
    infos = {topic: message for topic, message in firsts.items()
             if recording.topics[topic] == CAMERA_INFO}
    depths = {topic: message for topic, message in firsts.items() if _is_depth(topic, message)}
    wanted = [image] if image else sorted(
        _distinct(images), key=lambda topic: _rank(topic, images[topic]))
    cameras = [Camera(topic, _own_info(topic, images, infos),
                      truth or _own_depth(images[topic], depths)) for topic in wanted]
    _warn_of_doubt(recording, cameras[0], images)  # the one that is taken where one is
    return cameras


def check_registered(recording: Recording, camera: Camera) -> None:
    """
    Warn of depth in another frame than the image's: its pixels show other places.

    :raises RecordingError: where its camera_info proves it by another focal length.
    """
    assert camera.truth is not None
    firsts = _first_messages(recording, (camera.image, camera.truth))
    frames = [_frame_of(firsts[topic]) for topic in (camera.image, camera.truth)
              if topic in firsts]
    if len(frames) < 2 or '' in frames or frames[0] == frames[1]:
        return
    fault = (f"{camera.truth} is depth in frame '{frames[1]}', {camera.image} an image in "
             f"'{frames[0]}': name a topic of depth registered to the image, as "
             'aligned_depth_to_color is')
    if _has_another_lens(recording, camera.truth, camera.info, firsts):
        raise RecordingError(fault)
    recording.warn(fault)


def _has_another_lens(recording: Recording, depth: str, info: str | None,
                      firsts: dict[str, Any]) -> bool:
    infos = _first_messages(recording, _of_types(recording, CAMERA_INFO))
    own = (infos.get(topic or '') for topic in (info, _own_info(depth, firsts, infos)))
    known = [focal for one in own if one and (focal := _focal_per_width(one)) > 0]
    return len(known) == 2 and abs(known[0] - known[1]) > SAME_FOCAL * known[0]


def _focal_per_width(info: Any) -> float:
    """Return fx over the width, the same at every resolution; 0 where it is not known."""
    fx = info.p[0] if info.p[0] > 0 else info.k[0]
    return float(fx / info.width) if info.width else 0.0


@dataclass(frozen=True)
class Estimate:
    """A topic of estimated depth, and what it was made of."""

    depth: str
    image: str | None = None
    truth: str | None = None
    """Depth of another source in the same frame."""


def find_estimates(recording: Recording) -> list[Estimate]:
    """Return the topics ``NAMESPACE/NAME/image_rect`` with depth; the image is in NAMESPACE."""
    firsts = _first_messages(recording, _of_types(recording, IMAGE, COMPRESSED_IMAGE))
    depths = {topic: message for topic, message in firsts.items() if _is_depth(topic, message)}
    images = _distinct({topic: message for topic, message in firsts.items()
                        if _is_colour(topic, message)})
    own = [topic for topic in _distinct(depths) if base_topic(topic).endswith('/image_rect')]
    others = {topic: message for topic, message in depths.items()
              if base_topic(topic) not in map(base_topic, own)}
    return [Estimate(topic, min((image for image in images
                                 if namespace(image) == namespace(namespace(topic))), default=None,
                                key=lambda image: _rank(image, firsts[image])),
                     _own_depth(firsts[topic], others)) for topic in sorted(own)]


def base_topic(topic: str) -> str:
    """Return the name that image_transport's transports append theirs to."""
    return re.sub(TRANSPORTS, '', topic)


def namespace(topic: str) -> str:
    """Return all of a name but its last part."""
    return base_topic(topic).rpartition('/')[0]


def _of_types(recording: Recording, *kinds: str) -> list[str]:
    return [topic for topic, kind in recording.topics.items() if kind in kinds]


def _listed(recording: Recording) -> str:
    topics = [f'{topic} ({kind})' for topic, kind in sorted(recording.topics.items())]
    listed = f'it has {", ".join(topics)}' if topics else 'it has no topic at all'
    return '; '.join([listed, *recording.warnings])


def _first_messages(recording: Recording, topics: Collection[str]) -> dict[str, Any]:
    """Return the first message of each topic that can be decoded and is not empty."""
    found: dict[str, Any] = {}
    empty: Counter[str] = Counter()
    expected = {topic for topic in topics if recording.channels[topic].count != 0}
    for record in recording.records(expected) if expected else ():
        if record.topic not in found:
            try:
                if len(getattr(record.message, 'data', ' ')) == 0:
                    empty[record.topic] += 1  # as some drivers' first are: it tells nothing
                    if empty[record.topic] == MOST_EMPTY:
                        expected.discard(record.topic)
                    continue
                found[record.topic] = (description_of(record) if record.type in VIDEO
                                       else record.message)
            except RecordingError as error:
                recording.warn(f'{recording.name}: {record.topic}: {error}')
        if expected <= found.keys():
            break
    for topic in sorted(empty.keys() - found.keys()):
        recording.warn(f'{recording.name}: {topic} begins with {empty[topic]} empty messages '
                       'and is passed over')
    return found


def _is_depth(topic: str, message: Any) -> bool:
    if hasattr(message, 'format'):
        return ('compressedDepth' in f'{topic} {message.format}'
                or str(message.format).startswith(('16UC1', '32FC1')))
    encoding = getattr(message, 'encoding', '')
    return encoding in ('16UC1', '32FC1') or (encoding == 'mono16' and 'depth' in topic.lower())


def _is_colour(topic: str, message: Any) -> bool:
    if _is_depth(topic, message):
        return False
    return hasattr(message, 'format') or (
        hasattr(message, 'encoding') and not NOT_COLOUR.match(message.encoding))


def _distinct(images: dict[str, Any]) -> list[str]:
    """Return the image topics, of a raw one and its compressed forms the raw one only."""
    return [topic for topic in images
            if base_topic(topic) == topic or base_topic(topic) not in images]


def _rank(topic: str, message: Any) -> tuple[bool, bool, str]:
    grey = str(getattr(message, 'encoding', message and getattr(message, 'format', '')))
    return 'rect' not in base_topic(topic), grey.startswith(('mono', '8UC1')), topic


def _frame_of(message: Any) -> str:
    return plain_frame(message.header.frame_id)


def _own_info(topic: str, images: dict[str, Any], infos: dict[str, Any]) -> str | None:
    """Return the calibration that lies beside an image, or bears its frame; or none."""
    frame = _frame_of(images[topic])
    for beside in (f'{base_topic(topic)}/camera_info', f'{namespace(topic)}/camera_info'):
        if beside in infos and not _is_of_another(infos[beside], frame, topic, images):
            return beside
    same = sorted(name for name, info in infos.items() if frame and _frame_of(info) == frame)
    return same[0] if same else None


def _warn_of_doubt(recording: Recording, camera: Camera, images: dict[str, Any]) -> None:
    """Name a calibration that an image has by the frame alone, though it lies beside another."""
    place = namespace(camera.info) if camera.info else None
    others = [topic for topic in images if namespace(topic) == place]
    if others and place not in (namespace(camera.image), base_topic(camera.image)):
        recording.warn(f'{recording.name}: {camera.image} takes {camera.info}, which bears its '
                       f'frame but lies beside {others[0]}: where these are two cameras, give '
                       'each driver a frame_id of its own')


def _is_of_another(info: Any, frame: str, topic: str, images: dict[str, Any]) -> bool:
    """Say whether a calibration bears the frame of another image instead of this one's."""
    named = _frame_of(info)
    if not named or not frame or named == frame:
        return False
    return any(_frame_of(message) == named for other, message in images.items()
               if base_topic(other) != base_topic(topic))


def _own_depth(image: Any, depths: dict[str, Any]) -> str | None:
    """Return the depth topic in the image's frame: only that has the image's geometry."""
    frame = _frame_of(image)
    own = [topic for topic, message in depths.items()
           if not frame or _frame_of(message) in ('', frame)]
    return min(own, default=None, key=lambda topic: (
        [name not in topic.lower() for name in TRUTH_NAMES], topic))
