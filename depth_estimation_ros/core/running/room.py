# SPDX-License-Identifier: Apache-2.0
"""What is kept of each network size, within a budget; and what makes room for what."""

import logging
from collections.abc import Callable
from time import monotonic

from torch import Tensor

from .building import BuiltNetworks
from .constants import Constants
from .graphs import Graphs
from .shape import FrameShape, Shape, Size

LOGGER = logging.getLogger(__name__)

IN_USE = 10.0
"""Seconds after a size was served in which no other takes its room: else two that do not fit
together, of two cameras in turn, would be built anew at every frame."""


class Room:
    """Keeps sizes within a budget; one that does not fit beside those in use is not kept."""

    def __init__(self, budget: float, constants: Constants, built: BuiltNetworks,
                 graphs: Graphs | None) -> None:
        """
        Start with no size.

        :param budget: the bytes that all may hold together.
        """
        self._budget = budget
        self._constants, self._built, self._graphs = constants, built, graphs
        self._used: dict[Size, float] = {}
        """When each size was served last, where that is not long ago."""
        self._too_large: dict[Size, int] = {}
        """Of the sizes that are not kept, the bytes that they would take."""
        self._captured_pixels = 0
        """Of the largest input whose graph is in the pool."""
        self._warned = False

    @property
    def bytes(self) -> int:
        """The memory that the kept encodings, graphs and built networks take."""
        return (self._constants.bytes + self._built.bytes
                + (0 if self._graphs is None else self._graphs.bytes))

    def install(self, shape: Shape, pixels: Callable[[], Tensor]) -> bool:
        """
        Have the model read a size's encodings, if its plan fits beside those of sizes in use.

        :param pixels: gives an input of the size, to run where they must be computed.
        """
        size, new = shape.size, self._constants.of(shape.size) is None
        self._observe(size)
        if not new:
            self._constants.install(size, pixels)
            self._make(size, 0)
            return True
        needed = self._too_large.get(size, 0)
        fits = self._make(size, needed)
        if fits:
            self._constants.install(size, pixels)
            needed = self._growth(shape)
            fits = self._make(size, needed)
        if not fits:
            self._turn_away(size, needed)
        return fits

    def may_capture(self, key: Shape | FrameShape) -> bool:
        """Return whether there is a graph, or room for one beside the sizes in use."""
        return self._graphs is not None and (
            key in self._graphs or self._make(key.size, self._growth(_network(key))))

    def captured(self, key: Shape | FrameShape, growth: int) -> None:
        """Keep a size, or not, after its graph made the pool grow by so many bytes."""
        if self._graphs is not None and key in self._graphs:
            self._captured_pixels = max(self._captured_pixels, _network(key).pixels)
        if growth > 0 and not self._make(key.size, 0):
            self._turn_away(key.size, growth)

    def _observe(self, size: Size) -> None:
        self._used = {each: used for each, used in self._used.items() if self._in_use(each)}
        self._used[size] = monotonic()
        self._too_large = {each: taken for each, taken in self._too_large.items()
                           if each in self._used}

    def _in_use(self, size: Size) -> bool:
        return size in self._used and monotonic() - self._used[size] < IN_USE

    def _growth(self, shape: Shape) -> int:
        """Return by how much a graph may enlarge the pool, whose memory smaller ones share."""
        if self._graphs is None or not self._graphs.pool_bytes:
            self._captured_pixels = 0
        if self._graphs is None or not self._graphs.enabled or not self._captured_pixels:
            return 0
        return int(self._graphs.pool_bytes * max(shape.pixels / self._captured_pixels - 1, 0))

    def _make(self, size: Size, needed: int) -> bool:
        """Release other sizes, but for those in use, until one fits; return whether it does."""
        for other in [each for each in self._constants.sizes if each != size]:
            if self.bytes + needed <= self._budget:
                return True
            if self._in_use(other):
                return False
            self.release(other)
            LOGGER.info('released the plan of network size %dx%d', other[1], other[0])
        if self._graphs is not None and self.bytes + needed > self._budget and (
                not self._too_large):  # else what is in use would be captured twice
            self._graphs.compact()
        return True

    def _turn_away(self, size: Size, growth: int) -> None:
        """
        Keep nothing of a size as long as those that fill the budget are in use.

        :param growth: the bytes that it would take beside what it takes now.
        """
        other = [each for each in self._constants.sizes if each != size][-1]
        before = self.bytes
        self.release(size)
        self._too_large[size] = before - self.bytes + growth
        if not self._warned:
            LOGGER.warning(
                'network sizes %dx%d and %dx%d in turn take more than the %.0f MiB for what is '
                "kept between frames: %dx%d is served slower, without; make 'network.height' and "
                "'network.width' smaller", *other[::-1], *size[::-1], self._budget / 2**20,
                *size[::-1])
        self._warned = True

    def release(self, size: Size) -> None:
        """Let go of all that is kept of a size."""
        if self._graphs is not None:
            self._graphs.release(size)
        self._built.release(size)
        self._constants.release(size)


def left(budget: float, constants: Constants, graphs: Graphs | None) -> float:
    """Return the bytes that built networks may take together; holds no planner, so no cycle."""
    return budget - constants.bytes - (0 if graphs is None else graphs.bytes)


def _network(key: Shape | FrameShape) -> Shape:
    return key.network if isinstance(key, FrameShape) else key
