"""Quality of service: what the node asks of cameras and offers to its users."""

from collections.abc import Callable
from typing import Any

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

IMAGE_INPUT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Matches any camera's publisher, and never holds a stale frame."""

CAMERA_INFO_INPUT = IMAGE_INPUT

OUTPUT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.RELIABLE)
"""Matches reliable subscribers (depth_image_proc, rosbag2) and best-effort ones."""

OVERRIDABLE = QoSOverridingOptions.with_default_policies()
"""History, depth and reliability may be set by the standard ``qos_overrides`` parameters."""


def incompatible(topic: str, peer: str, report: Callable[[str], None]) -> Callable[[Any], None]:
    """
    Return a callback for incompatible peers that names the topic and the policy.

    :param topic: the node's topic.
    :param peer: 'publisher' or 'subscriber', what the peer is.
    :param report: called with one sentence.
    """
    def callback(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        report(f'a {peer} on {topic} has an incompatible {policy.lower()} policy and is not '
               f"connected: set it on the peer, or here by the parameter 'qos_overrides.{topic}."
               f'{"subscription" if peer == "publisher" else "publisher"}.{policy.lower()}\'')
    return callback
