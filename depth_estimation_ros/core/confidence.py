# SPDX-License-Identifier: Apache-2.0
"""How far depth can be believed, by what the network says of the mirrored image."""

from __future__ import annotations

import torch
from torch import Tensor


def agreement(straight: Tensor, mirrored: Tensor) -> Tensor:
    """
    Return the ratio of two depths of the same view, the smaller one over the larger.

    A network that knows a surface sees it at the same depth in a mirror; of the candidates in
    docs/evaluation.md none tells wrong depth from right as well. The mirrored pass is that of
    C. Godard et al., CVPR 2017, its disagreement as an uncertainty that of M. Poggi et al.,
    CVPR 2020 ("Post"). 0.8 is two depths that differ as much as delta1 allows.

    :param straight: depth, H×W; NaN where unknown.
    :param mirrored: that of the mirrored image, turned back.
    :return: float32, H×W, 0 to 1; 0 where either is unknown or not above 0.
    """
    smaller, larger = torch.minimum(straight, mirrored), torch.maximum(straight, mirrored)
    known = (smaller > 0) & larger.isfinite()
    return torch.where(known, smaller / larger, 0.0)


def without_low_confidence(depth: Tensor, confidence: Tensor, least: float) -> Tensor:
    """
    Make unknown what is less sure than asked.

    :param depth: float32, H×W; is not changed.
    :param confidence: of the same shape.
    :param least: from 0, which keeps all, to 1.
    :return: float32, H×W, on the same device.
    """
    return depth.masked_fill(confidence < least, torch.nan)
