# SPDX-License-Identifier: Apache-2.0
"""What a graph in a file takes and gives, and whether that is pixels in and a map out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..errors import CheckpointError

FLOATS: dict[str, type[np.floating]] = {
    'float16': np.float16, 'float': np.float32, 'double': np.float64,
    'f16': np.float16, 'f32': np.float32, 'f64': np.float64}
"""The types that pixels are given in, as ONNX Runtime and OpenVINO call them."""

NUMBERS = (*FLOATS, *(f'{kind}{bits}' for kind in ('int', 'uint', 'i', 'u')
                      for bits in (8, 16, 32, 64)))
"""The types that NumPy has too: OpenVINO hands out the bits of others, such as bf16, as another
type's."""


class Port(NamedTuple):
    """An input or output of a graph."""

    name: str
    kind: str
    """The type of its elements, as the runtime calls it."""
    shape: tuple[int | None, ...] | None
    """None for a side that is free; None altogether where even their number is."""

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Return whether a tensor of this shape fits."""
        return self.shape is None or (len(self.shape) == len(shape) and all(
            own in (None, given) for own, given in zip(self.shape, shape, strict=True)))

    def __str__(self) -> str:
        """Say its name, type and shape, '?' for what is free."""
        sides = '...' if self.shape is None else 'x'.join(
            '?' if side is None else str(side) for side in self.shape)
        return f"'{self.name}', {self.kind} {sides or 'of no dimension'}"


def pixels_port(inputs: Iterable[Port]) -> tuple[Port, type[np.floating]]:
    """
    Return the input that takes the pixels, and the type that it takes them in.

    :raises CheckpointError: unless it is the only one, and of floating-point numbers.
    """
    ports = list(inputs)
    if len(ports) != 1:
        raise CheckpointError(
            f'the graph has {len(ports)} inputs ({"; ".join(map(str, ports)) or "none"}), where '
            'one takes the pixels: export it with that alone, the others as constants')
    port, = ports
    if port.kind not in FLOATS:
        raise CheckpointError(f'the graph takes {port}, where pixels are floating-point numbers: '
                              'export it with a float32, float16 or float64 input')
    return port, FLOATS[port.kind]


def map_port(outputs: Iterable[Port], wanted: str) -> Port:
    """
    Return the output of a name; '' takes the first.

    :raises CheckpointError: when there is none of that name, or NumPy lacks its type.
    """
    ports = {port.name: port for port in outputs}
    if wanted not in ports and (wanted or not ports):
        raise CheckpointError(f"the graph has no output '{wanted}', which the card names: it has "
                              f'{", ".join(ports) or "none"}')
    port = ports[wanted] if wanted else next(iter(ports.values()))
    if port.kind not in NUMBERS:
        raise CheckpointError(f'the graph gives {port}, a type that is not read: export it with a '
                              'float32 output')
    return port
