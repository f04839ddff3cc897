# SPDX-License-Identifier: Apache-2.0
"""What comes in of one camera: images and camera_info, from whichever publishers there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from .camera_info import info_faults
from .endpoint import Receiver, compressed_topic
from .qos import CAMERA_INFO_INPUT, IMAGE_INPUT, LATCHED_CAMERA_INFO_INPUT
from .stamps import StampWatch

DISCOVERY_PERIOD = 0.5
"""Seconds between looks for a latched camera_info publisher."""

UNKNOWN_SHAPE = (0, 0)

KEPT = 32
"""Calibrations in which that of an image is looked for, as of a lens that zooms."""


class Input:
    """Receives a camera's images and keeps the newest camera_info."""

    def __init__(self, node: LifecycleNode, prefix: str, transport: str,
                 receive: Callable[[Image | CompressedImage], None],
                 calibrated: Callable[[], None] = lambda: None) -> None:
        """
        Find the topics; they are subscribed to by :meth:`open`.

        :param prefix: of the topics, '' or ending in a slash.
        :param transport: 'raw' or 'compressed', which image topic to subscribe to.
        :param receive: called with every image.
        :param calibrated: called when a camera_info has come.
        """
        self.info: CameraInfo | None = None
        """The newest calibration."""
        self._infos: OrderedDict[tuple[int, int], CameraInfo] = OrderedDict()
        self.shape = UNKNOWN_SHAPE
        """(height, width) of the newest image, as far as it is known."""
        self._node, self._receive, self._frame_id = node, receive, ''
        self._calibrated = calibrated
        self._kind = CompressedImage if transport == 'compressed' else Image
        image = f'{prefix}image'
        self._image = compressed_topic(node, image) if transport == 'compressed' else image
        self._info_topic = f'{prefix}camera_info'
        self._stamps = StampWatch()
        self._receivers: list[Receiver] = []
        self._latched: Receiver | None = None
        self._timer: Timer | None = None

    @property
    def image_topic(self) -> str:
        """The full name of the topic that images are received on."""
        return str(self._node.resolve_topic_name(self._image))

    @property
    def arrived(self) -> bool:
        """Whether an image has come."""
        return self._stamps.last is not None

    def open(self) -> None:
        """Start to receive."""
        self._receivers = [
            Receiver(self._node, self._kind, self._image, IMAGE_INPUT, self._receive_image),
            Receiver(self._node, CameraInfo, self._info_topic, CAMERA_INFO_INPUT,
                     self._receive_info)]
        self._timer = self._node.create_timer(
            DISCOVERY_PERIOD, self._follow_latched, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Stop receiving and forget what belongs to this stretch of time."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for receiver in [*self._receivers, *filter(None, [self._latched])]:
            receiver.close()
        self._receivers, self._latched, self._timer = [], None, None
        self.info, self.shape, self._frame_id = None, UNKNOWN_SHAPE, ''
        self._infos.clear()
        self._stamps = StampWatch()

    def info_of(self, stamp: Any) -> CameraInfo | None:
        """Return the calibration of an image's stamp; the newest where none has that stamp."""
        return self._infos.get((stamp.sec, stamp.nanosec), self.info)

    def faults(self) -> list[str]:
        """Return what is wrong with the publishers, stamps and calibration, each in a sentence."""
        faults = [fault for receiver in self._receivers for fault in receiver.faults()]
        faults += filter(None, [self._stamps.fault])
        if self.arrived and not self._frame_id:
            faults.append('the images have no frame_id, so tf cannot place their depth: set the '
                          "frame of the camera driver to the optical frame's name")
        if self._frame_id.startswith('/'):
            faults.append(f"the images' frame_id '{self._frame_id}' begins with /, which tf "
                          "refuses: take the / out of the frame of the camera driver")
        if self.info is not None:
            faults += info_faults(self.info, self.shape, self._frame_id, self.image_topic)
        return faults

    def _receive_image(self, message: Any) -> None:
        self._stamps.observe(
            message.header.stamp, self._node.get_clock().now().nanoseconds * 1e-9)
        self._frame_id = message.header.frame_id
        if isinstance(message, Image):
            self.shape = message.height, message.width
        self._receive(message)

    def _receive_info(self, message: CameraInfo) -> None:
        self.info = message
        self._infos[message.header.stamp.sec, message.header.stamp.nanosec] = message
        if len(self._infos) > KEPT:
            self._infos.popitem(last=False)
        self._calibrated()

    def _follow_latched(self) -> None:
        """Subscribe as latched while there is such a publisher, to get what it sent before."""
        if not self._node.context.ok():
            return
        latched = self._receivers[1].has_latched_publisher
        if latched and self._latched is None:
            self._latched = Receiver(
                self._node, CameraInfo, self._info_topic, LATCHED_CAMERA_INFO_INPUT,
                self._receive_info, overridable=False)
        elif not latched and self._latched is not None:
            self._latched.close()
            self._latched = None
