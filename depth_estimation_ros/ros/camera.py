# SPDX-License-Identifier: Apache-2.0
"""One camera: which of its images are served, what is published of them, and its statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ..core.families.base import Quantity
from ..core.frame import Depth, Prediction
from ..core.pinhole import Pinhole
from ..core.rigid import Rigid
from .camera_info import calibration_of, focal_length_of, lens_of
from .endpoint import Sender
from .frame_statistics import PAUSED, RATE_LIMITED, UNWANTED, FrameStatistics
from .groups import Group
from .input import UNKNOWN_SHAPE, Input
from .mailbox import Frame
from .monitor import CameraMonitor
from .mount_source import MountSource
from .odometry import Odometry
from .outputs import OUTPUTS, Estimate, Limits, Output
from .outputs.camera_info import CameraInfoOutput
from .prompts import Prompts
from .qos import OUTPUT
from .settings import DepthSize
from .stamps import RateLimit, seconds

SECOND = 1e-9

METRIC = "the camera's depth is in metres: subscribe to depth/image_rect"
"""Why depth without a scale is not published."""

RELATIVE = ('which has no scale: subscribe to depth/relative, take a model that gives metres, or '
            'calibrate this one (docs/evaluation.md)')
"""Why metres are not."""

INFO = CameraInfoOutput(Group(), Limits(0.0, math.inf))
"""What is published of a frame without an estimate; no setting changes it."""


class Camera:
    """Receives a camera's images for the worker and publishes their depth."""

    def __init__(self, node: LifecycleNode, name: str, *, transport: str,
                 deliver: Callable[[Frame], None], quantity: Quantity = Quantity.METRES,
                 calibrated: bool = False, prompted: bool = False,
                 mount_source: MountSource | None = None, odometry: Odometry | None = None,
                 expect: Callable[[int, int], None] = lambda height, width: None) -> None:
        """
        Create the publishers; the subscriptions come with :meth:`subscribe`.

        :param name: the prefix of the topics; '' for none.
        :param transport: 'raw' or 'compressed', which image topic to subscribe to.
        :param deliver: called with every frame that somebody wants.
        :param quantity: what the model gives.
        :param calibrated: whether metres are made of it.
        :param prompted: whether it needs another sensor's depth beside each image.
        :param mount_source: what tells how the camera stands, where the parameters do not.
        :param odometry: what tells how it moves, where anything does.
        :param expect: called with the height and width of the first image, wanted or not.
        """
        self.name, self._quantity = name, quantity
        self.metric = calibrated or quantity is Quantity.METRES
        """Whether what is published is in metres; else it is inverse depth without a scale."""
        self.statistics, self.monitor = FrameStatistics(), CameraMonitor(name)
        self.rate, self.size = RateLimit(), DepthSize()
        self.paused = False
        self.steadied: float | None = None
        """The share of the last frame's pixels that were steadied; None where that is off."""
        self._expect, self._mount_source, self._odometry = expect, mount_source, odometry
        self._announced = False
        prefix = f'{name}/' if name else ''
        self._input = Input(node, prefix, transport, self._receive,
                            self._announce if transport == 'compressed' else lambda: None)
        self._prompts = Prompts(node, prefix, deliver) if prompted else None
        self._deliver = deliver if self._prompts is None else self._prompts.hold
        self._senders = {
            kind: Sender(node, kind.message, prefix + kind.topic, OUTPUT) for kind in OUTPUTS}

    def subscribe(self) -> None:
        """Start to receive."""
        self._input.open()
        if self._prompts is not None:
            self._prompts.open()

    def unsubscribe(self) -> None:
        """Stop receiving and forget what belongs to this stretch of time."""
        self._input.close()
        if self._prompts is not None:
            self._prompts.close()
        self.rate.reset()
        self.monitor.reset()
        self.steadied = None
        if self._odometry is not None:
            self._odometry.fault = ''

    def close(self) -> None:
        """Destroy the topics."""
        self.unsubscribe()
        for sender in self._senders.values():
            sender.close()

    @property
    def image_topic(self) -> str:
        """The full name of the topic that images are received on."""
        return self._input.image_topic

    @property
    def faults(self) -> list[str]:
        """What is wrong with the camera's topics at this moment, each in a sentence."""
        faults = [*self._input.faults(), *(self._prompts.faults() if self._prompts else []),
                  *(fault for sender in self._senders.values() for fault in sender.faults())]
        faults += [f'{sender.topic} is subscribed to, but {self._why_silent}'
                   for kind, sender in self._senders.items()
                   if sender.wanted and not self._serves(kind)]
        if self._input.info is None and self._input.arrived:
            faults += [f'{sender.topic} is subscribed to, but no camera_info has come: remap it '
                       "to the camera's" for kind, sender in self._senders.items()
                       if kind.needs_info and sender.wanted]
        elif self._mount_source is not None and self._mount_source.fault:
            faults += [f'{sender.topic} is subscribed to, but {self._mount_source.fault}'
                       for kind, sender in self._senders.items()
                       if kind.needs_mount and sender.wanted]
        if self._odometry is not None and self.steadied is not None:
            faults += self._motion_faults(self._odometry)
        return faults

    def _motion_faults(self, odometry: Odometry) -> list[str]:
        """Return why the camera's motion is of no use to the depth that is steadied."""
        faults = [] if self._input.info is not None else [
            "temporal.odom_frame needs camera_info, and none has come: remap it to the camera's"]
        if odometry.fault:
            faults.append(f'depth is steadied only while the camera stands: {odometry.fault}')
        return faults

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the camera, for diagnostics."""
        facts = self._mount_source.facts if self._mount_source else {}
        return facts if self.steadied is None else facts | {'steadied': f'{self.steadied:.0%}'}

    def wanted(self) -> frozenset[str]:
        """Return the topics to publish of an estimate; none where it is not worth one."""
        wanted = [kind for kind, sender in self._senders.items()
                  if sender.wanted and self._serves(kind) and (
                      self._input.info is not None or not kind.needs_info)]
        return frozenset(kind.topic for kind in wanted
                         if any(each.needs_depth for each in wanted))

    def publish(self, header: Header, found: Prediction, outputs: Iterable[Output],
                image: NDArray[np.uint8]) -> None:
        """
        Publish what is still subscribed to of one frame, under the image's own header.

        :param found: metres by REP 118 and REP 117, or inverse depth where it is not
            :attr:`metric`, and how far they can be believed.
        :param outputs: what was wanted before the estimate.
        :param image: what the depth was made of, uint8 RGB, H×W×3.
        """
        source = self._input.shape = image.shape[0], image.shape[1]
        outputs = list(outputs)
        mount_source = self._mount_source if any(each.needs_mount for each in outputs) else None
        estimate = Estimate(
            header, found.depth, self._input.info_of(header.stamp), source, image=image,
            confidence=found.confidence, mount=mount_source.at(header) if mount_source else None,
            metric=self.metric)
        failed = [failure for failure in (self._failure(output, estimate) for output in outputs)
                  if failure]
        if mount_source:
            mount_source.observe(estimate)
        self.monitor.observe(image, found.depth, seconds(header.stamp))
        if failed:
            raise RuntimeError('; '.join(failed))

    def _failure(self, output: Output, estimate: Estimate) -> str:
        """Publish one output; return why that failed, so that it takes no other along."""
        try:
            self._send(output, estimate)
        except Exception as error:
            return f'{output.topic}: {error!r}'
        return ''

    def focal_length(self, header: Header, width: int, height: int) -> float | None:
        """Return fx in pixels of an image of this size; None where it is not known."""
        info = self._input.info_of(header.stamp)
        return None if info is None else focal_length_of(info, width, height)

    def prompt(self, stamp: float, slop: float, shape: tuple[int, int]) -> Depth | None:
        """
        Return another sensor's depth beside an image; None where the model needs none.

        :param stamp: seconds of the image's capture.
        :param slop: seconds between the two captures, at most.
        :param shape: the image's height and width.
        :raises PromptError: where it needs one and none fits.
        """
        return None if self._prompts is None else self._prompts.nearest(stamp, slop, shape)

    def lens(self, header: Header, width: int, height: int) -> Pinhole | None:
        """Return the pinhole camera of an image of this size; None where it is not known."""
        info = self._input.info_of(header.stamp)
        return None if info is None else lens_of(info, width, height)

    def pose(self, header: Header) -> Rigid | None:
        """Return where the camera took an image; None where that is not known."""
        return None if self._odometry is None else self._odometry.at(header)

    @property
    def _why_silent(self) -> str:
        """Say why an output cannot be made of this camera's depth."""
        return METRIC if self.metric else f'the model gives {self._quantity.value}, {RELATIVE}'

    def _serves(self, kind: type[Output]) -> bool:
        """Whether an output can be made of this camera's depth."""
        return kind.takes_metres if self.metric else kind.takes_relative

    def _send(self, output: Output, estimate: Estimate) -> None:
        sender = self._senders[type(output)]
        if sender.wanted and (estimate.info is not None or not output.needs_info):
            message = output.encode(estimate)
            if message is not None:
                sender.send(message)

    def _receive(self, message: Image | CompressedImage) -> None:
        self.statistics.receive()
        if isinstance(message, Image):
            self._announce(message)
        frame = Frame(self, message, seconds(message.header.stamp), monotonic())
        reason = self._drop_reason(frame)
        if not reason:
            self._deliver(frame)
            return
        self.statistics.drop(reason)
        if reason == UNWANTED:
            self._publish_info(message.header)

    def _announce(self, image: Image | None = None) -> None:
        """Tell the size of the first image, by its calibration where it comes compressed."""
        if self._announced or (image is None and self._input.info is None):
            return
        width, height = (image.width, image.height) if image is not None else (
            calibration_of(self._input.info).image_size)
        if width and height:  # a driver without a picture or a calibration sends zeros
            self._announced = True
            self._expect(height, width)

    def _publish_info(self, header: Header) -> None:
        """Publish the calibration of an image that has no estimate."""
        info, shape = self._input.info_of(header.stamp), self._input.shape
        if info is not None and shape == UNKNOWN_SHAPE:
            shape = calibration_of(info).image_size[::-1]
        if all(shape):
            unknown = np.broadcast_to(np.float32(np.nan), self.size.of(*shape))
            self._send(INFO, Estimate(header, unknown, info, shape))

    def _drop_reason(self, frame: Frame) -> str:
        """Return the reason not to serve a frame, or ''."""
        if self.paused:
            return PAUSED
        if not self.wanted():
            return UNWANTED
        return '' if self.rate.admits(frame.stamp, frame.received) else RATE_LIMITED
