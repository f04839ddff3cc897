# SPDX-License-Identifier: Apache-2.0
"""What a family of depth models tells the estimator."""

from __future__ import annotations

from contextlib import AbstractContextManager
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
    """Depth up to an unknown scale: larger is farther."""


class Size(NamedTuple):
    """The size of an image or of a network's input, in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """Name the width first, as cameras are named."""
        return f'{self.width}x{self.height}'


class OneWay:
    """What families have in common whose images all go the same way."""

    domains: tuple[str, ...] = ()

    def pin(self, domain: str) -> None:
        """Refuse: there is nothing to choose from."""
        raise ValueError(f"no domain '{domain}'")

    def routed(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the network's values as they are: no image has a choice."""
        return values, None

    def through(self, head: int) -> AbstractContextManager[None]:
        """Refuse likewise."""
        raise ValueError(f'no head {head}')


class Family(Protocol):
    """A loaded model and all that is special about its family."""

    quantity: Quantity
    """What it gives as a rule."""
    range: tuple[float, float] | None
    """The nearest and farthest depth in metres that it was trained for, where that is known."""
    network: nn.Module
    """The exact fast form: takes a batch of inputs, float N×channels×height×width; gives a tensor
    whose first dimension is the batch, or transformers' output with a ``predicted_depth``."""
    float32: tuple[str, ...]
    """The network's children and tensors that stay in float32 when the rest goes lower."""
    native: bool
    """Whether the network is made of torch's operations, so that it can be captured, exported and
    lowered."""
    needs_prompt: bool
    """Whether a frame must bring a prompt."""
    per_frame: bool
    """Whether a result depends on more of the frame than the image's size."""
    domains: tuple[str, ...]
    """The names of the heads between which each image is routed; none where there is one way."""

    def size(self, height: int, width: int) -> Size:
        """
        Return the size at which the network sees an image of height × width pixels.

        :raises ImageError: when it cannot take such an image.
        """

    def inputs(self, image: Tensor, frame: Frame) -> Tensor:
        """
        Return the network's input for one frame, float32, channels×height×width.

        :param image: the frame's image on the network's device, uint8, H×W×3.
        :raises ImageError: when the frame lacks what the network needs.
        """

    def mirrored(self, inputs: Tensor) -> Tensor:
        """Return a batch of inputs as those of the mirrored images."""

    def result(self, values: Tensor, frame: Frame) -> Tensor:
        """
        Turn what the network gave for one frame into depth of the image's size.

        :param values: float32, without the dimension of the batch; NaN where it is not finite.
        :return: float32, height×width of the image, in what :meth:`quantity_of` says.
        """

    def pin(self, domain: str) -> None:
        """Send every image to one of the domains, and release the others' weights."""

    def routed(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """
        Part what the network gave for a batch into what :meth:`result` takes and the routing.

        :return: the values, and which of the domains each image prefers, float32 N, NaN where
            that is not known; None where there is no choice.
        """

    def through(self, head: int) -> AbstractContextManager[None]:
        """Send every image to one of the domains, whatever it prefers, within the context."""

    def quantity_of(self, frame: Frame) -> Quantity:
        """Return what the numbers of one frame's depth are."""

    def magnification(self, height: int, width: int) -> float | None:
        """
        Return how many of the network's pixels one of an image's becomes along x.

        None where metres do not go by it: the model is told the focal length or estimates it, or
        measures distance by something else than the image.

        :raises ImageError: when the network cannot take such an image.
        """
