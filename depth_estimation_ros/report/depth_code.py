# SPDX-License-Identifier: Apache-2.0
"""Depth as text that a page holds and its script reads back, and as a picture."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..core.colour import Colouriser
from .description import Depth, Rgb

UNKNOWN, NEARER, BEYOND = 0, 65534, 65535
"""The codes of NaN, -Inf and +Inf; those between are whole steps of distance."""

STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Metres; the finest that holds a map's farthest distance is taken."""


@dataclass(frozen=True)
class DepthCode:
    """A map of depth in whole steps."""

    width: int
    height: int
    step: float
    """Metres of a step."""
    data: str
    """Base64 of zlib of uint16, little endian, each as its difference from the one before."""


def encoded(depth: Depth) -> DepthCode:
    """Return a map as text; what is not above 0 is unknown."""
    finite = depth[np.isfinite(depth)]
    farthest = float(finite.max()) if finite.size else 0.0
    step = next((step for step in STEPS if farthest / step < NEARER - 1), STEPS[-1])
    code = codes(depth, step).ravel()
    change = np.diff(code, prepend=code[:1] * 0)  # wraps round, as the script's sum does
    packed = zlib.compress(change.astype('<u2').tobytes(), 9)
    return DepthCode(depth.shape[1], depth.shape[0], step, base64.b64encode(packed).decode())


def codes(depth: Depth, step: float) -> NDArray[np.uint16]:
    """Return each pixel's code."""
    whole = np.nan_to_num(depth.astype(np.float64) / step, nan=0, posinf=0, neginf=0)
    code = np.clip(np.rint(whole), UNKNOWN, NEARER - 1).astype(np.uint16)
    code[np.isposinf(depth)] = BEYOND
    code[np.isneginf(depth)] = NEARER
    return code


def coloured(depth: Depth, near: float, far: float) -> str:
    """Return a picture of depth as a data URI, the first and last colour at these metres."""
    known = np.where(depth > 0, depth, np.nan).astype(np.float32)
    return data_uri(Colouriser('turbo', near, far)(known), 'png')


def picture(rgb: Rgb) -> str:
    """Return a camera's image as a data URI."""
    return data_uri(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8), 'jpeg')


def data_uri(bgr: NDArray[np.uint8], kind: str) -> str:
    """Return a picture as a data URI: 'png' or 'jpeg'."""
    return uri_of(cv2.imencode(f'.{kind}', bgr)[1].tobytes(), f'image/{kind}')


def uri_of(data: bytes, kind: str) -> str:
    """Return bytes of a media type as a data URI."""
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'
