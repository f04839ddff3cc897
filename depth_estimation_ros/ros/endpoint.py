# SPDX-License-Identifier: Apache-2.0
"""The ends of the node's topics: subscriptions and publishers, and what their peers do wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from .logs import one_line
from .qos import OVERRIDABLE, incompatible, is_compatible, is_latched, own


class Endpoint:
    """One subscription or publisher of the node, under its topic's full name."""

    def __init__(self, node: LifecycleNode, kind: Any, topic: str, qos: QoSProfile) -> None:
        """Resolve the topic and take a copy of the QoS, which its overrides change."""
        self.topic = str(node.resolve_topic_name(topic))
        self._node, self._kind, self._qos = node, kind, own(qos)
        self._mismatch = ''

    def _note_mismatch(self, sentence: str) -> None:
        self._mismatch = sentence

    @contextmanager
    def _named(self, side: str) -> Iterator[None]:
        """Name the topic, and the parameters that may be wrong, where rcl refuses to make it."""
        try:
            yield
        except Exception as error:  # of rcl and the RMW below it; many kinds
            raise ValueError(
                f'the {side} of {self.topic} ({self._type}) cannot be made: {one_line(error)}: '
                f'see the parameters qos_overrides.{self.topic}.{side}, if set, and the remapping'
                ) from error

    @property
    def _type(self) -> str:
        package, folder, _ = self._kind.__module__.split('.', 2)
        return f'{package}/{folder}/{self._kind.__name__}'


class Receiver(Endpoint):
    """A subscription."""

    def __init__(self, node: LifecycleNode, kind: Any, topic: str, qos: QoSProfile,
                 callback: Callable[[Any], None], *, overridable: bool = True) -> None:
        """
        Subscribe.

        :param overridable: whether ``qos_overrides`` parameters change the QoS.
        """
        super().__init__(node, kind, topic, qos)
        events = SubscriptionEventCallbacks(
            incompatible_qos=incompatible(self.topic, 'publisher', self._note_mismatch))
        with self._named('subscription'):
            self._subscription = node.create_subscription(
                kind, topic, callback, self._qos, event_callbacks=events,
                qos_overriding_options=OVERRIDABLE if overridable else None)

    @property
    def has_latched_publisher(self) -> bool:
        """Whether a publisher keeps its last message for those who come late."""
        return any(is_latched(peer.qos_profile) for peer in self._publishers)

    def faults(self) -> Iterator[str]:
        """Name what is wrong with the publishers at this moment."""
        peers = self._publishers
        if self._mismatch and not all(is_compatible(p.qos_profile, self._qos) for p in peers):
            yield self._mismatch
        if len(peers) > 1:
            yield f'{len(peers)} publishers send to {self.topic}: is one a bag?'
        for kind in {peer.topic_type for peer in peers} - {self._type}:
            yield (f'{self.topic} is published as {kind}, but subscribed to as {self._type}: '
                   'remap to another topic, or set image_transport for compressed images')
        if (self._node.get_name(), self._node.get_namespace()) in [
                (peer.node_name, peer.node_namespace) for peer in peers]:
            yield f'{self.topic} is published by this node itself: remap it, or rename the camera'

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    @property
    def _publishers(self) -> Any:
        return self._node.get_publishers_info_by_topic(self.topic)


class Sender(Endpoint):
    """A lifecycle publisher."""

    def __init__(self, node: LifecycleNode, kind: Any, topic: str, qos: QoSProfile) -> None:
        """Advertise."""
        super().__init__(node, kind, topic, qos)
        events = PublisherEventCallbacks(
            incompatible_qos=incompatible(self.topic, 'subscriber', self._note_mismatch))
        with self._named('publisher'):
            self._publisher: Any = node.create_lifecycle_publisher(
                kind, topic, self._qos, event_callbacks=events, qos_overriding_options=OVERRIDABLE)

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._publisher.get_subscription_count())

    def send(self, message: Any) -> None:
        """Publish."""
        self._publisher.publish(message)

    def faults(self) -> Iterator[str]:
        """Name a subscriber that is not connected at this moment."""
        peers = self._node.get_subscriptions_info_by_topic(self.topic)
        if self._mismatch and not all(is_compatible(self._qos, p.qos_profile) for p in peers):
            yield self._mismatch

    def close(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)


def compressed_topic(node: LifecycleNode, base: str) -> str:
    """
    Return the topic of a base topic's compressed images, as image_transport finds it.

    :param base: the relative topic of the raw images; a remapping of it is followed, one of
        ``base/compressed`` itself comes first.
    """
    transported = f'{base}/compressed'
    if node.resolve_topic_name(transported) != node.resolve_topic_name(
            transported, only_expand=True):
        return transported
    remapped = str(node.resolve_topic_name(base))
    return remapped if remapped.endswith('/compressed') else f'{remapped}/compressed'
