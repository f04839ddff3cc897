# SPDX-License-Identifier: Apache-2.0
"""Another sensor's depth of the same view, for models that take it as a prompt."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer
from sensor_msgs.msg import Image

from . import codec
from .endpoint import Receiver
from .frame_statistics import DEACTIVATED
from .mailbox import Frame
from .qos import IMAGE_INPUT
from .stamps import seconds

ENCODINGS = {'32fc1': codec.Encoding('f4', 1, None), '16uc1': codec.Encoding('u2', 1, None)}
"""Metres and millimetres (REP 118)."""

KEPT = 16
"""Messages in which an image's prompt is looked for: half a second of a depth camera."""

ASPECT = 0.02
"""The relative difference of two proportions up to which they are taken for one view's."""

WAIT = 0.05
"""Seconds that an image waits for depth that was taken with it or after it, at most."""

SILENT = 2.0
"""Seconds without depth after which its sensor is called silent."""

BEYOND = 300.0
"""Metres that no such sensor measures; a median above it is one of millimetres."""


class PromptError(ValueError):
    """No prompt for an image; the text says why, and what to do."""


class Prompts:
    """Keeps the newest messages of a camera's ``prompt/depth``, and the image they are for."""

    def __init__(self, node: LifecycleNode, prefix: str,
                 deliver: Callable[[Frame], None]) -> None:
        """
        Find the topic; it is subscribed to by :meth:`open`.

        :param prefix: of the topic, '' or ending in a slash.
        :param deliver: called with each image of :meth:`hold`.
        """
        self._deliver = deliver
        self._held: Frame | None = None
        self._heard = -math.inf
        self._node, self._topic = node, f'{prefix}prompt/depth'
        self._messages: deque[Image] = deque(maxlen=KEPT)
        self._changing = Lock()
        self._receiver: Receiver | None = None
        self._timer: Timer | None = None

    def open(self) -> None:
        """Start to receive."""
        self._receiver = Receiver(self._node, Image, self._topic, IMAGE_INPUT, self._receive)
        self._timer = self._node.create_timer(
            WAIT, self._release, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()

    def close(self) -> None:
        """Stop receiving and forget what came; an image that waits is dropped."""
        if self._receiver is not None:
            self._receiver.close()
            self._node.destroy_timer(self._timer)
            self._receiver = self._timer = None
        held, self._held = self._held, None
        if held is not None:
            held.camera.statistics.drop(DEACTIVATED)
        with self._changing:
            self._messages.clear()

    def faults(self) -> list[str]:
        """Return what is wrong with the topic at this moment, each in a sentence."""
        if self._receiver is None:
            return []
        return [*self._receiver.faults(), *filter(None, [self._silence])]

    def hold(self, frame: Frame) -> None:
        """
        Deliver an image once depth that was taken with it, or after it, has come.

        It waits for :data:`WAIT` at most, until the next image, and not for a silent sensor.
        """
        self._release()
        if self._silence or self._newest >= frame.stamp or self._timer is None:
            self._deliver(frame)
        else:
            self._held = frame
            self._timer.reset()

    def nearest(self, stamp: float, slop: float, shape: tuple[int, int]) -> NDArray[np.float32]:
        """
        Return the depth that was taken nearest to an image.

        :param stamp: seconds of the image's capture.
        :param slop: seconds between the two captures, at most.
        :param shape: the image's height and width.
        :return: float32 metres, H×W of its own; NaN or 0 where it is unknown.
        :raises PromptError: where there is none, or it is not of the same view.
        """
        with self._changing:
            messages = tuple(self._messages)
        if not messages:
            raise PromptError(self._silence)
        message = min(reversed(messages), key=lambda each: abs(seconds(each.header.stamp) - stamp))
        apart = abs(seconds(message.header.stamp) - stamp)
        if apart > slop:
            raise PromptError(self._silence or (
                f'the depth on {self._name} nearest to the image was taken {apart:.3f} s apart, '
                f'more than prompt.slop ({slop} s): have one clock stamp both, or raise it'))
        depth = self._metres(message)
        if not (np.isfinite(depth) & (depth > 0)).any():
            raise PromptError(f'{self._name} holds no known depth: is its sensor covered?')
        height, width = shape
        if abs(depth.shape[1] * height / (depth.shape[0] * width) - 1) > ASPECT:
            raise PromptError(
                f'{self._name} is {depth.shape[1]}x{depth.shape[0]}, the image {width}x{height}: '
                'they are not of one view; register the depth to the camera '
                '(depth_image_proc/register)')
        return depth

    def _receive(self, message: Image) -> None:
        with self._changing:
            self._messages.append(message)
        self._heard = monotonic()
        if self._held is not None and self._newest >= self._held.stamp:
            self._release()

    def _release(self) -> None:
        """Deliver the image that waits, if one does."""
        if self._timer is not None:
            self._timer.cancel()
        held, self._held = self._held, None
        if held is not None:
            self._deliver(held)

    @property
    def _newest(self) -> float:
        """The stamp of the depth that came last, in seconds; 0 before the first."""
        return seconds(self._messages[-1].header.stamp) if self._messages else 0.0

    @property
    def _silence(self) -> str:
        """Say that no depth comes, or ''."""
        if not self._messages:
            return (f'no depth has come on {self._name}, which the model needs beside each image: '
                    "remap prompt/depth to the depth sensor's topic")
        silence = monotonic() - self._heard
        return '' if silence < SILENT else (
            f'no depth has come on {self._name} for {silence:.0f} s: is its sensor running?')

    @property
    def _name(self) -> str:
        return str(self._node.resolve_topic_name(self._topic))

    def _metres(self, message: Image) -> NDArray[np.float32]:
        encoding = ENCODINGS.get(message.encoding.lower())
        if encoding is None:
            raise PromptError(f"{self._name} has encoding '{message.encoding}', which is no "
                              'depth; 16UC1 and 32FC1 are')
        try:
            pixels = codec.view(message, encoding)
        except codec.CodecError as error:
            raise PromptError(f'{self._name}: {error}') from error
        if encoding.dtype == 'u2':
            return np.asarray(pixels * np.float32(1e-3), np.float32)
        known = pixels[np.isfinite(pixels) & (pixels > 0)]
        if known.size and np.median(known) > BEYOND:
            raise PromptError(f'{self._name} says {np.median(known):.0f} m at the median, which '
                              'looks like millimetres: 32FC1 is in metres (REP 118)')
        return np.ascontiguousarray(pixels, np.float32)
