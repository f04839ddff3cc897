"""One camera's topics: what comes in, what goes out, and its account of frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..core.colour import Colouriser
from ..core.geometry import scale_intrinsics
from . import codec
from .mailbox import Frame
from .qos import CAMERA_INFO_INPUT, IMAGE_INPUT, OUTPUT, OVERRIDABLE, incompatible
from .stamps import RateLimit, StampWatch
from .tally import PAUSED, RATE_LIMITED, UNWANTED, Tally

SECOND = 1e-9


class Camera:
    """Receives a camera's images for the worker and publishes their depth."""

    def __init__(self, node: LifecycleNode, name: str, *, transport: str,
                 deliver: Callable[[Frame], None], warn: Callable[[str], None],
                 expect: Callable[[int, int], None] = lambda height, width: None) -> None:
        """
        Create the publishers; the subscriptions come with :meth:`subscribe`.

        :param name: the prefix of the topics; '' for none.
        :param transport: 'raw' or 'compressed', which image topic to subscribe to.
        :param deliver: called with every frame that somebody wants.
        :param warn: called with one sentence about a peer that cannot be connected.
        :param expect: called with the height and width of the first image, wanted or not.
        """
        self.name = name
        self.tally = Tally()
        self.rate = RateLimit()
        self.paused = False
        self._stamps = StampWatch()
        self._unconnected: dict[str, str] = {}
        self._node, self._transport = node, transport
        self._image = 'image/compressed' if transport == 'compressed' else 'image'
        self._deliver, self._warn, self._expect = deliver, warn, expect
        self._subscriptions: list[Subscription] = []
        self._announced = False
        self._info: CameraInfo | None = None
        self._depth = self._publisher(Image, 'depth/image_rect')
        self._depth_info = self._publisher(CameraInfo, 'depth/camera_info')
        self._preview = self._publisher(Image, 'depth/preview')

    def topic(self, name: str) -> str:
        """Return the camera's relative topic ``name``."""
        return f'{self.name}/{name}' if self.name else name

    def subscribe(self) -> None:
        """Start to receive."""
        kind = CompressedImage if self._transport == 'compressed' else Image
        self._subscriptions = [
            self._subscription(kind, self._image, self._receive, IMAGE_INPUT),
            self._subscription(CameraInfo, 'camera_info', self._receive_info, CAMERA_INFO_INPUT)]

    def unsubscribe(self) -> None:
        """Stop receiving and forget what belongs to this stretch of time."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions, self._info = [], None
        self._stamps, self.rate.due = StampWatch(), None
        self._unconnected.clear()

    def close(self) -> None:
        """Destroy the topics."""
        self.unsubscribe()
        for publisher in (self._depth, self._depth_info, self._preview):
            self._node.destroy_publisher(publisher)

    @property
    def image_topic(self) -> str:
        """The full name of the topic that images are received on."""
        return str(self._node.resolve_topic_name(self.topic(self._image)))

    @property
    def faults(self) -> list[str]:
        """What is wrong with the camera's topics at this moment, each in a sentence."""
        faults = [*self._unconnected.values(), self._stamps.fault]
        if self._info is None and self._depth_info.get_subscription_count():
            faults.append(f'{self.topic("depth/camera_info")} is subscribed to, but no '
                          "camera_info has come: remap it to the camera's")
        publishers = self._node.count_publishers(self.image_topic)
        if publishers > 1:
            faults.append(f'{publishers} publishers send to {self.image_topic}: is one a bag?')
        return [fault for fault in faults if fault]

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to an output that needs the network."""
        return bool(self._depth.get_subscription_count() or self._preview.get_subscription_count())

    def publish(self, header: Header, depth: NDArray[np.float32], colourise: Colouriser) -> None:
        """
        Publish what is subscribed to of one frame, under the image's own header.

        :param depth: float32 metres by REP 118 and REP 117, H×W.
        """
        if self._depth.get_subscription_count():
            self._depth.publish(codec.encode(depth, '32FC1', header))
        self._publish_info(header, depth.shape)
        if self._preview.get_subscription_count():
            self._preview.publish(codec.encode(colourise(depth), 'bgr8', header))

    def _receive(self, message: Image | CompressedImage) -> None:
        self.tally.receive()
        if isinstance(message, Image):
            self._announce(message.height, message.width)
        frame = Frame(self, message, seconds(message.header.stamp),
                      self._node.get_clock().now().nanoseconds * SECOND)
        self._stamps.see(frame.stamp, frame.received)
        refusal = self._refusal(frame.stamp)
        if not refusal:
            self._deliver(frame)
            return
        self.tally.drop(refusal)
        if refusal == UNWANTED and self._info is not None:
            self._publish_info(message.header, (self._info.height, self._info.width))

    def _publish_info(self, header: Header, shape: tuple[int, ...]) -> None:
        if self._info is not None and self._depth_info.get_subscription_count():
            self._depth_info.publish(info_for(self._info, header, shape))

    def _refusal(self, stamp: float) -> str:
        """Return the reason not to serve a frame captured at ``stamp``, or ''."""
        if self.paused:
            return PAUSED
        if not self.wanted:
            return UNWANTED
        return '' if self.rate.admits(stamp) else RATE_LIMITED

    def _receive_info(self, message: CameraInfo) -> None:
        self._info = message
        if self._transport == 'compressed':
            self._announce(message.height, message.width)

    def _announce(self, height: int, width: int) -> None:
        """Tell the size of the first image, before anybody wants one."""
        if not self._announced:
            self._announced = True
            self._expect(height, width)

    def _publisher(self, kind: Any, topic: str) -> Any:
        resolved = self._node.resolve_topic_name(self.topic(topic))
        events = PublisherEventCallbacks(incompatible_qos=incompatible(
            resolved, 'subscriber', partial(self._note_unconnected, topic)))
        return self._node.create_lifecycle_publisher(
            kind, self.topic(topic), OUTPUT, event_callbacks=events,
            qos_overriding_options=OVERRIDABLE)

    def _subscription(self, kind: Any, topic: str, callback: Callable[[Any], None],
                      qos: Any) -> Subscription:
        resolved = self._node.resolve_topic_name(self.topic(topic))
        events = SubscriptionEventCallbacks(incompatible_qos=incompatible(
            resolved, 'publisher', partial(self._note_unconnected, topic)))
        return self._node.create_subscription(
            kind, self.topic(topic), callback, qos, event_callbacks=events,
            qos_overriding_options=OVERRIDABLE)

    def _note_unconnected(self, topic: str, sentence: str) -> None:
        self._unconnected[topic] = sentence
        self._warn(sentence)


def seconds(stamp: Any) -> float:
    """Return a builtin_interfaces/Time in seconds."""
    return float(Time.from_msg(stamp).nanoseconds) * SECOND


def info_for(info: CameraInfo, header: Header, shape: tuple[int, ...]) -> CameraInfo:
    """
    Return the camera's calibration for depth of another size, under the depth's header.

    :param info: as the camera published it.
    :param shape: the depth's (height, width).
    """
    height, width = shape
    scale_x = width / info.width if info.width else 1.0
    scale_y = height / info.height if info.height else 1.0
    return CameraInfo(
        header=header, height=height, width=width, distortion_model=info.distortion_model,
        d=info.d, r=info.r, k=scale_intrinsics(info.k, 3, scale_x, scale_y),
        p=scale_intrinsics(info.p, 4, scale_x, scale_y))
