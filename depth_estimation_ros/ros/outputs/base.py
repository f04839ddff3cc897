# SPDX-License-Identifier: Apache-2.0
"""What an output is: a topic, the message on it, and how an estimate becomes that message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from ...core.mount import Mount
from ..groups import Group


@dataclass(frozen=True)
class Limits:
    """The range of depth that is published as such."""

    near: float
    """Metres; what is nearer is -Inf."""
    far: float
    """Metres; what is farther is +Inf."""


@dataclass(frozen=True)
class Estimate:
    """One frame's depth and what goes with it."""

    header: Header
    """The image's own."""
    depth: NDArray[np.float32]
    """Metres by REP 118 and REP 117, H×W; not to be written to."""
    info: CameraInfo | None
    """As the camera published it, if it has."""
    source: tuple[int, int]
    """The height and width of the image that the depth was made of, which may be larger."""
    image: NDArray[np.uint8] | None = None
    """The image, uint8 RGB, H×W×3; None where there is no estimate."""
    confidence: NDArray[np.float32] | None = None
    """0 to 1, as large as the depth; None where the mirrored image was not looked at."""
    mount: Mount | None = None
    """How the camera stood, where that was not told by parameters and is known."""
    metric: bool = True
    """Whether the depth is in metres; else it is inverse depth without a scale."""


class Output(ABC):
    """
    One topic of each camera. The class says what it is; an instance is ready to encode.

    A new one is a file like those here and a line in :data:`OUTPUTS`.
    """

    topic: ClassVar[str]
    """Below the camera's prefix."""
    message: ClassVar[Any]
    """The type of what is published."""
    needs_depth: ClassVar[bool] = True
    """Whether the network runs for it."""
    needs_info: ClassVar[bool] = False
    """Whether there is none without a camera_info."""
    needs_mount: ClassVar[bool] = False
    """Whether it is made by how the camera stands."""
    needs_mirrored: ClassVar[bool] = False
    """Whether it is made by what the network says of the mirrored image."""
    takes_metres: ClassVar[bool] = True
    """Whether it can be made of metres."""
    takes_relative: ClassVar[bool] = False
    """Whether it can be made of inverse depth without a scale."""
    settings: ClassVar[type[Group]] = Group
    """The parameters that it reads."""

    def __init__(self, settings: Any, limits: Limits) -> None:
        """
        Prepare what is the same for every frame.

        :param settings: an instance of the class's own ``settings``.
        """
        self._settings, self._limits = settings, limits

    @property
    def silent_because(self) -> str:
        """Say in a sentence why nothing can be published with these settings, or ''."""
        return ''

    @abstractmethod
    def encode(self, estimate: Estimate) -> Any:
        """Return the message of one frame; None where the frame gives none."""
