# SPDX-License-Identifier: Apache-2.0
"""What a report says, before it is a page: facts, tables, plots and frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Depth = NDArray[np.float32]
"""Metres, H×W, by REP 117."""

Rgb = NDArray[np.uint8]
"""H×W×3."""


@dataclass(frozen=True)
class Table:
    """Rows of text; numbers are written by whoever fills it in."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ''


@dataclass(frozen=True)
class Series:
    """Values over time, each line under its name."""

    title: str
    places: Sequence[float]
    """When each value was, or which frame it is of."""
    lines: Mapping[str, Sequence[float]]
    unit: str
    note: str = ''
    axis: str = 'seconds'
    """What the places are."""


@dataclass(frozen=True)
class Histogram:
    """How often each range of depth occurs."""

    title: str
    edges: Sequence[float]
    """Metres, one more than there are counts."""
    counts: Sequence[float]
    unit: str = 'pixels'
    note: str = ''


@dataclass(frozen=True)
class Bars:
    """One number for each name."""

    title: str
    values: Mapping[str, float]
    unit: str
    note: str = ''


@dataclass(frozen=True)
class Sample:
    """One frame to look at, small enough for a page."""

    label: str
    """A few words, for where there is little room."""
    caption: str
    depth: Depth
    truth: Depth | None = None
    """Of the size of the depth, as the image is."""
    image: Rgb | None = None
    step: float = 1.0
    """Columns and rows of the camera's image in one of the depth."""


@dataclass(frozen=True)
class Gallery:
    """Frames with depth that is read in metres where one points."""

    title: str
    samples: Sequence[Sample]
    note: str = ''


Section = Table | Series | Histogram | Bars | Gallery


@dataclass(frozen=True)
class Report:
    """A whole page."""

    title: str
    facts: Mapping[str, str]
    sections: Sequence[Section]
    notes: Sequence[str] = field(default_factory=tuple)
    """What the reader should know: faults, warnings, what is missing."""
