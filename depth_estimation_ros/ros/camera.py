"""One camera: which of its images are served, what is published of them, and its statistics."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..core.colour import Colouriser
from . import codec
from .camera_info import calibration_of, info_for
from .endpoint import Sender
from .frame_statistics import PAUSED, RATE_LIMITED, UNWANTED, FrameStatistics
from .input import UNKNOWN_SHAPE, Input
from .mailbox import Frame
from .qos import OUTPUT
from .stamps import RateLimit, seconds

SECOND = 1e-9


class Camera:
    """Receives a camera's images for the worker and publishes their depth."""

    def __init__(self, node: LifecycleNode, name: str, *, transport: str,
                 deliver: Callable[[Frame], None],
                 expect: Callable[[int, int], None] = lambda height, width: None) -> None:
        """
        Create the publishers; the subscriptions come with :meth:`subscribe`.

        :param name: the prefix of the topics; '' for none.
        :param transport: 'raw' or 'compressed', which image topic to subscribe to.
        :param deliver: called with every frame that somebody wants.
        :param expect: called with the height and width of the first image, wanted or not.
        """
        self.name = name
        self.statistics = FrameStatistics()
        self.rate = RateLimit()
        self.paused = False
        self._deliver, self._expect = deliver, expect
        self._announced = False
        prefix = f'{name}/' if name else ''
        self._input = Input(node, prefix, transport, self._receive)
        self._depth = Sender(node, Image, f'{prefix}depth/image_rect', OUTPUT)
        self._depth_info = Sender(node, CameraInfo, f'{prefix}depth/camera_info', OUTPUT)
        self._preview = Sender(node, Image, f'{prefix}depth/preview', OUTPUT)

    def subscribe(self) -> None:
        """Start to receive."""
        self._input.open()

    def unsubscribe(self) -> None:
        """Stop receiving and forget what belongs to this stretch of time."""
        self._input.close()
        self.rate.reset()

    def close(self) -> None:
        """Destroy the topics."""
        self.unsubscribe()
        for sender in self._senders:
            sender.close()

    @property
    def image_topic(self) -> str:
        """The full name of the topic that images are received on."""
        return self._input.image_topic

    @property
    def faults(self) -> list[str]:
        """What is wrong with the camera's topics at this moment, each in a sentence."""
        faults = [*self._input.faults(),
                  *(fault for sender in self._senders for fault in sender.faults())]
        if self._input.info is None and self._depth_info.wanted:
            faults.append(f'{self._depth_info.topic} is subscribed to, but no '
                          "camera_info has come: remap it to the camera's")
        return faults

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to an output that needs the network."""
        return self._depth.wanted or self._preview.wanted

    def publish(self, header: Header, depth: NDArray[np.float32], colourise: Colouriser) -> None:
        """
        Publish what is subscribed to of one frame, under the image's own header.

        :param depth: float32 metres by REP 118 and REP 117, H×W.
        """
        self._input.shape = depth.shape[0], depth.shape[1]
        if self._depth.wanted:
            self._depth.send(codec.encode(depth, '32FC1', header))
        self._publish_info(header, depth.shape)
        if self._preview.wanted:
            self._preview.send(codec.encode(colourise(depth), 'bgr8', header))

    @property
    def _senders(self) -> tuple[Sender, ...]:
        return self._depth, self._depth_info, self._preview

    def _receive(self, message: Image | CompressedImage) -> None:
        self.statistics.receive()
        self._announce(message)
        frame = Frame(self, message, seconds(message.header.stamp), monotonic())
        reason = self._drop_reason(frame)
        if not reason:
            self._deliver(frame)
            return
        self.statistics.drop(reason)
        if reason == UNWANTED and self._input.info is not None:
            shape = self._input.shape
            self._publish_info(message.header, calibration_of(
                self._input.info).image_size[::-1] if shape == UNKNOWN_SHAPE else shape)

    def _announce(self, message: Image | CompressedImage) -> None:
        """Tell the size of the first image whose size is known, before anybody wants one."""
        if self._announced:
            return
        if isinstance(message, Image):
            size = message.width, message.height
        elif self._input.info is not None:
            size = calibration_of(self._input.info).image_size
        else:
            return
        self._announced = True
        self._expect(size[1], size[0])

    def _publish_info(self, header: Header, shape: tuple[int, ...]) -> None:
        if self._input.info is not None and all(shape) and self._depth_info.wanted:
            self._depth_info.send(info_for(self._input.info, header, shape))

    def _drop_reason(self, frame: Frame) -> str:
        """Return the reason not to serve a frame, or ''."""
        if self.paused:
            return PAUSED
        if not self.wanted:
            return UNWANTED
        return '' if self.rate.admits(frame.stamp, frame.received) else RATE_LIMITED
