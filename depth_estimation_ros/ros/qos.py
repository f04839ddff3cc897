# SPDX-License-Identifier: Apache-2.0
"""Quality of service: what the node asks of cameras and offers to its users."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

IMAGE_INPUT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Matches any camera's publisher, and never holds a stale frame."""

CAMERA_INFO_INPUT = IMAGE_INPUT
"""Matches any publisher too, but for what a latched one sent before."""

LATCHED_CAMERA_INFO_INPUT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Gets the last message of a latched publisher; a volatile one would warn that it can't match."""

OUTPUT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.RELIABLE)
"""Matches reliable subscribers (depth_image_proc, rosbag2) and best-effort ones."""

POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
            QoSPolicyKind.DURABILITY)
"""What the standard ``qos_overrides`` parameters may set, topic by topic."""

OVERRIDABLE = QoSOverridingOptions(policy_kinds=POLICIES)


def own(profile: QoSProfile) -> QoSProfile:
    """Return a copy for one topic: rclpy writes a topic's overrides into the profile it gets."""
    return copy.copy(profile)


def incompatible(topic: str, peer: str, report: Callable[[str], None]) -> Callable[[Any], None]:
    """
    Return a callback for incompatible peers that names the topic and the policy.

    :param topic: the node's topic.
    :param peer: 'publisher' or 'subscriber', what the peer is.
    :param report: called with one sentence.
    """
    def callback(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        here = (f", or here by the parameter 'qos_overrides.{topic}."
                f'{"subscription" if peer == "publisher" else "publisher"}.{policy}\''
                if policy in [kind.name.lower() for kind in POLICIES] else '')
        report(f'a {peer} on {topic} has an incompatible {policy} policy and is not '
               f'connected: set it on the peer{here}')
    return callback


def is_compatible(publisher: QoSProfile, subscription: QoSProfile) -> bool:
    """Say whether a publisher and a subscription of one topic are connected."""
    return bool(qos_check_compatible(publisher, subscription)[0] != QoSCompatibility.ERROR)


def is_latched(publisher: QoSProfile) -> bool:
    """Say whether a publisher keeps its last message for those who come late."""
    return bool(publisher.durability == DurabilityPolicy.TRANSIENT_LOCAL
                and publisher.reliability == ReliabilityPolicy.RELIABLE)
