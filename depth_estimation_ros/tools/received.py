# SPDX-License-Identifier: Apache-2.0
"""What a report needs of a run, in memory that does not grow with the run's images."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.evaluation.metrics import depth_metrics

ERRORS = ('abs_rel', 'delta1', 'rmse_m')

PARTS = ('depth', 'truth', 'info', 'points', 'scan')
"""What comes beside an image, under its stamp."""

RECENT = 32
"""How many of each part wait for what has the same stamp."""

KEPT = 16
"""How many moments are kept for a picture, spread evenly over the run."""

BIN = 0.01
"""Metres, the width of the histogram's bins: what the report rounds to."""

FARTHEST = 200.0
"""Metres; what is farther counts in the histogram's last bin."""


class DepthRange:
    """The least, greatest and median depth of any number of pixels."""

    def __init__(self) -> None:
        self.least, self.greatest = np.inf, -np.inf
        self._bins = np.zeros(round(FARTHEST / BIN) + 1, np.int64)

    def add(self, depth: NDArray[np.float32]) -> None:
        """
        Count the finite pixels of a map.

        :param depth: metres, any shape.
        """
        finite = depth[np.isfinite(depth)]
        if not finite.size:
            return
        self.least = min(self.least, float(finite.min()))
        self.greatest = max(self.greatest, float(finite.max()))
        indices = np.clip(np.rint(finite / BIN), 0, len(self._bins) - 1).astype(np.int64)
        self._bins += np.bincount(indices, minlength=len(self._bins))

    def summary(self) -> dict[str, float]:
        """Return min, median and max in metres, to the width of a bin; NaN without pixels."""
        pixels = int(self._bins.sum())
        if not pixels:
            return dict.fromkeys(('min', 'median', 'max'), float('nan'))
        middle = int(np.searchsorted(np.cumsum(self._bins), (pixels + 1) // 2))
        return {'min': round(self.least, 2), 'median': round(middle * BIN, 2),
                'max': round(self.greatest, 2)}


@dataclass
class KeptMoment:
    """An image of the run with what bears its stamp, as far as it came."""

    image: Any
    depth: NDArray[np.float32] | None = None
    truth: NDArray[np.float32] | None = None
    info: Any = None
    """The depth's sensor_msgs/CameraInfo."""
    points: Any = None
    """A sensor_msgs/PointCloud2."""
    scan: Any = None
    """A sensor_msgs/LaserScan."""

    @property
    def parts(self) -> int:
        """How many of its parts came."""
        return sum(getattr(self, part) is not None for part in PARTS)


@dataclass
class Flow:
    """What came on a topic."""

    messages: int = 0
    size: int = 0
    """Bytes, serialised."""


class Received:
    """Takes a run's messages as they come, in any order, and keeps figures."""

    def __init__(self) -> None:
        self.latency_ms = array('d')
        """From capture stamp to reception of each depth image."""
        self.depth = DepthRange()
        self.errors = {name: array('d') for name in ERRORS}
        """Of each depth image whose stamp has ground truth."""
        self.mismatch = ''
        """Why the ground truth is not compared, where it is not."""
        self.moments: OrderedDict[int, KeptMoment] = OrderedDict()
        self.status: dict[str, dict[str, str]] = {}
        """The last diagnostics by status name."""
        self.flows: dict[str, Flow] = {}
        """By topic, those on which anything came."""
        self._recent: dict[str, OrderedDict[int, Any]] = {part: OrderedDict() for part in PARTS}
        self._images, self._stride = 0, 1

    def of(self, name: str) -> dict[str, str]:
        """Return the last diagnostics of the status that ends by ``name``, if any came."""
        return next((pairs for full, pairs in self.status.items() if full.endswith(name)), {})

    def add_depth(self, stamp: int, depth: NDArray[np.float32], latency_ms: float) -> None:
        """
        Take the node's depth.

        :param stamp: nanoseconds.
        :param depth: metres, every k-th pixel of the camera's image.
        """
        self.latency_ms.append(latency_ms)
        self.depth.add(depth)
        self.add_part('depth', stamp, depth)
        self._match(stamp)

    def add_truth(self, stamp: int, truth: NDArray[np.float32]) -> None:
        """
        Take ground truth.

        :param truth: metres, NaN where unknown, every n-th pixel of the camera's image.
        """
        self.add_part('truth', stamp, truth)
        self._match(stamp)

    def add_image(self, stamp: int, image: Any) -> None:
        """Take the camera's image; a few of a run are kept, fewer the longer it lasts."""
        if self._images % self._stride == 0:
            self.moments[stamp] = KeptMoment(
                image, *(self._recent[part].get(stamp) for part in PARTS))
            if len(self.moments) > KEPT:
                for old in list(self.moments)[1::2]:
                    del self.moments[old]
                self._stride *= 2
        self._images += 1

    def add_part(self, part: str, stamp: int, value: Any) -> None:
        """
        Take what bears the stamp of an image, for its moment if that is kept.

        :param part: one of :data:`PARTS`.
        """
        recent = self._recent[part]
        recent[stamp] = value
        if len(recent) > RECENT:
            recent.popitem(last=False)
        if stamp in self.moments:
            setattr(self.moments[stamp], part, value)

    def count(self, topic: str, size: int) -> None:
        """Count a message of so many bytes."""
        flow = self.flows.setdefault(topic, Flow())
        flow.messages += 1
        flow.size += size

    def _match(self, stamp: int) -> None:
        depth, truth = (self._recent[part].get(stamp) for part in ('depth', 'truth'))
        if depth is None or truth is None:
            return
        try:
            errors = depth_metrics(*matched(depth, truth))
        except ValueError as error:
            self.mismatch = str(error)
            return
        for name in ERRORS:
            self.errors[name].append(getattr(errors, name))


def matched(depth: NDArray[np.float32],
            truth: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """
    Thin out the larger of two maps so that equal indices are the same pixels.

    :param depth: metres, every k-th pixel of the camera's image.
    :param truth: metres, every n-th pixel of the same image.
    """
    step = max(1, truth.shape[0] // depth.shape[0])
    stride = max(1, depth.shape[0] // truth.shape[0])
    thinned, thin_truth = depth[::stride, ::stride], truth[::step, ::step]
    if thinned.shape != thin_truth.shape:
        raise ValueError(f'depth of {depth.shape} and ground truth of {truth.shape} are not '
                         'samples of one image')
    return thinned, thin_truth
