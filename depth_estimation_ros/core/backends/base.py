# SPDX-License-Identifier: Apache-2.0
"""What a backend is: a way to make a network run faster for one input shape."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from torch import Tensor, nn

Network = Callable[[Tensor], Tensor]
"""From pixels, float32 N×3×height×width, to float32 metres, N×height×width."""


@dataclass(frozen=True)
class Backend:
    """A way to make a network run faster for one input shape."""

    name: str
    build: Callable[[nn.Module, Tensor, Event], Network]
    """Takes a private copy of a patched model with the position encodings of the size installed,
    pixels of the shape, and an event; once that is set, it may raise what it likes."""
    copies: bool
    """Whether what is built holds copies of the model's weights and position encodings."""
