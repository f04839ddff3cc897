# SPDX-License-Identifier: Apache-2.0
"""QoS as rosbag2 writes it down beside a topic."""

from __future__ import annotations

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

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
