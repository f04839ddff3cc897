# SPDX-License-Identifier: Apache-2.0
"""Depth as 16-bit inverse depth, by the format that image_transport calls compressedDepth.

A pixel is ``trunc(A / depth + B)``, at least 1; 0 is a pixel without depth. So near depth is fine
and far depth coarse: a step is depth² / A, 1 cm at 10 m with A = 10100.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct('<iff')
"""What stands before the picture: a number that says nothing, then A and B."""

LARGEST = 65535


@dataclass(frozen=True)
class InverseDepth:
    """The two numbers between metres and 16 bits."""

    scale: float
    """A, in metres."""
    offset: float
    """B."""

    @classmethod
    def up_to(cls, farthest: float, quantization: float) -> InverseDepth:
        """
        Return the numbers whose smallest code is the farthest depth.

        :param farthest: metres.
        :param quantization: larger is finer; A is ``quantization * (quantization + 1)``.
        """
        scale = quantization * (quantization + 1)
        return cls(scale, 1 - scale / farthest)

    @classmethod
    def unpack(cls, data: bytes) -> InverseDepth:
        """Read the numbers from the first :data:`HEADER` bytes of a message."""
        return cls(*HEADER.unpack_from(data)[1:])

    def pack(self) -> bytes:
        """Return what stands before the picture."""
        return HEADER.pack(0, self.scale, self.offset)

    def encode(self, depth: NDArray[np.float32]) -> NDArray[np.uint16]:
        """
        Quantise depth.

        :param depth: float32 metres; NaN, Inf and what is not positive is no distance.
        :return: uint16 of the same shape, 0 where there is no distance or it is too far; what is
            too near for 16 bits takes the nearest distance that they hold.
        """
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            code = np.float32(self.scale) / depth
        code += np.float32(self.offset)
        np.clip(code, 0, LARGEST, out=code)
        code[~(depth > 0)] = 0
        return np.asarray(code.astype(np.uint16))

    def decode(self, code: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Return metres, NaN where the code is 0."""
        with np.errstate(divide='ignore', invalid='ignore'):
            depth = np.float32(self.scale) / (code.astype(np.float32) - np.float32(self.offset))
        depth[code == 0] = np.nan
        return np.asarray(depth, np.float32)
