"""What a family of depth models tells the estimator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from ..frame import Frame


class Quantity(Enum):
    """What the numbers of a model's depth are."""

    METRES = 'metres'
    """Metres along the optical axis (REP 118)."""
    INVERSE_DEPTH = 'inverse depth'
    """1 / depth up to an unknown scale and shift: larger is nearer."""
    RELATIVE_DEPTH = 'relative depth'
    """Depth up to an unknown scale and shift: larger is farther."""


class Size(NamedTuple):
    """Of an image or of a network's input, in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f'{self.width}x{self.height}'


@dataclass(frozen=True)
class Result:
    """What a model says of one image."""

    depth: Tensor
    """float32, height×width of the image; NaN where the network gave no finite value."""
    quantity: Quantity


class Family(Protocol):
    """A loaded model and all that is special about its family."""

    quantity: Quantity
    """What it gives as a rule."""
    range: tuple[float, float] | None
    """The nearest and farthest depth in metres that it was trained for, where that is known."""
    network: nn.Module
    """The exact fast form: a frame's inputs, stacked to a batch, to a tuple of its outputs."""
    float32: tuple[str, ...]
    """The network's children that stay in float32 when the rest goes to a lower precision."""

    def size(self, height: int, width: int) -> Size:
        """
        Return the size at which the network sees an image of height × width pixels.

        :raises ImageError: when it cannot take such an image.
        """

    def inputs(self, image: Tensor, frame: Frame) -> tuple[Tensor, ...]:
        """
        Return the network's inputs for one frame, without the dimension of the batch.

        :param image: the frame's image on the network's device, uint8, H×W×3.
        """

    def result(self, outputs: tuple[Tensor, ...], frame: Frame) -> Result:
        """
        Turn the network's outputs for one frame into depth of the image's size.

        :param outputs: as the network gave them, without the dimension of the batch.
        """
