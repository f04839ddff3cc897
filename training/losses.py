# SPDX-License-Identifier: Apache-2.0
"""What training minimises."""

import torch
from torch import Tensor
from torch.nn import functional as F

SILOG_MEAN_WEIGHT = 0.85  # ZoeDepth's lambda
METRE_WEIGHT = 0.1
GRADIENT_STEPS = (1, 2, 4, 8)  # from one pixel to the next at each scale


def depth_loss(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """
    Return the scale-invariant log error, plus errors that scale does matter to.

    :param prediction: metres, (n, h, w).
    :param truth: metres, (n, h, w); 0 where there is none.
    :param weight: how much each pixel counts, (n, h, w).
    """
    valid = truth > 0
    predicted, actual = prediction[valid].clamp(min=1e-3), truth[valid]
    share = weight[valid] / weight[valid].sum()
    error = predicted.log() - actual.log()
    mean, square = (share * error).sum(), (share * error.square()).sum()
    silog = (square - SILOG_MEAN_WEIGHT * mean.square()).sqrt()
    metres = (share * (predicted - actual).abs()).sum()
    return silog + (share * error.abs()).sum() + METRE_WEIGHT * metres


def object_weights(objects: Tensor, weight: float) -> Tensor:
    """
    Let the pixels of objects count more than those of the room's faces.

    :param objects: bool, any shape.
    :param weight: of a pixel of an object; the others have 1.
    """
    return torch.where(objects, weight, 1.0)


def gradient_loss(prediction: Tensor, truth: Tensor) -> Tensor:
    """
    Return how much the log error changes between neighbours, the sum over scales and axes.

    A surface that is wrong as a whole costs nothing; an edge that is blurred or missed does.

    :param prediction: metres, (n, h, w).
    :param truth: metres, (n, h, w); 0 where there is none.
    """
    known = truth > 0
    error = prediction.clamp(min=1e-3).log() - truth.where(known, 1.0).log()
    changes = [mean_change(error[:, ::step, ::step], known[:, ::step, ::step], axis)
               for step in GRADIENT_STEPS for axis in (1, 2)]
    return torch.stack(changes).sum()


def mean_change(error: Tensor, known: Tensor, axis: int) -> Tensor:
    """Return the mean absolute difference of neighbours that are both known, 0 if none are."""
    count = error.shape[axis] - 1
    both = known.narrow(axis, 0, count) & known.narrow(axis, 1, count)
    return error.diff(dim=axis).abs()[both].sum() / both.sum().clamp(min=1)


def domain_loss(logits: Tensor, domain: int) -> Tensor:
    """
    Return the routing's cross-entropy.

    :param logits: (n, 2).
    :param domain: the right head for the whole batch.
    """
    target = torch.full((len(logits),), domain, device=logits.device)
    return F.cross_entropy(logits, target)
