# SPDX-License-Identifier: Apache-2.0
"""What the pipeline needs of a depth model: the core's DepthEstimator, or a test's stand-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..core.families.base import Quantity
from ..core.frame import Frame as View
from ..core.maps import Maps

Wait = Callable[[], list[Maps]]
"""Waits for what is estimated of each image of a batch, and gives it on the device."""


@dataclass(frozen=True)
class Source:
    """What a frame's depth is made by; another one's depth is another."""

    model: int
    """How many models served before it; while it is in the network the next may take over."""
    quantity: Quantity
    """What its numbers are."""
    lens_factor: float | None
    """What its metres are multiplied by for the focal length; None where that is off."""
    network: tuple[int, int]
    """Rows and columns that the network saw of the image."""
    domain: str
    """The metric head that it was told to take, as the parameter names it."""


class Model(Protocol):
    """A loaded model."""

    @property
    def range(self) -> tuple[float, float]:
        """The nearest and farthest depth in metres that it was trained for."""

    @property
    def domain(self) -> str:
        """The metric head that it was told to take."""

    @property
    def overlaps(self) -> bool:
        """Whether submitted work goes on beside the caller's own."""

    def adopt(self) -> bool:
        """Let serve what was loaded beside the model, if anything; return whether it did."""

    def submit(self, images: list[View], *, flip: bool) -> Wait:
        """Begin with a batch; what is returned waits for what is estimated, with ``flip``
        a confidence too.
        """

    def network_size(self, image: View) -> tuple[int, int]:
        """Return rows and columns that the model sees; :raises ImageError: when it cannot."""

    def quantity_of(self, image: View) -> Quantity:
        """Return what the numbers of an image's depth are."""
