# SPDX-License-Identifier: Apache-2.0
"""The shapes that networks run at."""

from typing import NamedTuple

Size = tuple[int, int]
"""Height and width."""

MAX_GRAPH_BATCH = 8
"""The largest batch of the network that is captured; larger ones run in parts."""

MAX_GRAPH_PIXELS = MAX_GRAPH_BATCH * 384 * 512
"""The most pixels of such a batch, eight of ZoeDepth's usual size: from four to eight of them an
H200 gains 7 % an image (docs/performance.md), and memory grows in step."""


class Shape(NamedTuple):
    """The shape of a network's input."""

    batch: int
    height: int
    width: int

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """The pixels of all images."""
        return self.batch * self.height * self.width

    @property
    def single(self) -> 'Shape':
        """The shape of one image of the batch."""
        return Shape(1, *self.size)

    @property
    def parts(self) -> 'list[Shape]':
        """The shapes of 1, 2, 4 … images up to the batch, which add up to any batch."""
        return [Shape(1 << bit, *self.size) for bit in range(self.batch.bit_length())]

    def __str__(self) -> str:
        """Name width, height and batch for the log."""
        return f'{self.width}x{self.height}, batch {self.batch}'


class FrameShape(NamedTuple):
    """The shape of images and of the network's input that is made of them."""

    images: int
    image: Size
    network: Shape

    @property
    def size(self) -> Size:
        """Height and width of the network's input."""
        return self.network.size

    def __str__(self) -> str:
        """Name the images and the network for the log."""
        return f'images of {self.image[1]}x{self.image[0]}, network {self.network}'


def largest_batch(size: Size) -> int:
    """Return the largest batch of 1, 2, 4 or 8 images of a size that runs as one."""
    fitting = max(MAX_GRAPH_PIXELS // (size[0] * size[1]), 1)
    return int(min(1 << (fitting.bit_length() - 1), MAX_GRAPH_BATCH))


def padded(batch: int) -> int:
    """Return the batch of 1, 2, 4 or 8 images, or a multiple of 8, that holds ``batch``."""
    if batch > MAX_GRAPH_BATCH:
        return -(-batch // MAX_GRAPH_BATCH) * MAX_GRAPH_BATCH
    return 1 << max(batch - 1, 0).bit_length()
