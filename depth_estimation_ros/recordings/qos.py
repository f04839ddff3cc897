# SPDX-License-Identifier: Apache-2.0
"""QoS as rosbag2 writes it down beside a topic."""

from __future__ import annotations

from collections.abc import Sequence

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import dump_qos_v8, parse_qos

from .errors import RecordingError

FOREVER = QosTime(9223372036, 854775807)
"""What rosbag2 writes of a duration without a limit."""


def reliable(depth: int, *, latched: bool = False) -> Qos:
    """
    Return the QoS of a reliable publisher.

    :param depth: how many messages it keeps.
    :param latched: whether it sends the last ones to who subscribes later (transient local).
    """
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, FOREVER, FOREVER,
               QosLiveliness.AUTOMATIC, FOREVER, False)


def text_of(profiles: Sequence[Qos]) -> str:
    """Return profiles as the YAML that a recording has of them."""
    return str(dump_qos_v8(list(profiles)))


def latched(publishers: int) -> str:
    """Return the profile of ROS 1's latched topics, each of whose publishers keeps a message."""
    return text_of([reliable(publishers, latched=True)]) if publishers else ''


def profiles_of(text: str) -> list[Qos]:
    """
    Return the profiles of a recording's YAML.

    :raises RecordingError: where it holds anything else.
    """
    try:
        return list(parse_qos(text))
    except (ReaderError, TypeError, AttributeError, LookupError, ValueError) as error:
        raise RecordingError(f"'{' '.join(text.split())[:60]}' is no QoS profile "
                             f'({type(error).__name__}: {error})') from error
