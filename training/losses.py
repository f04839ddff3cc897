"""What training minimises."""

import torch
from torch import Tensor
from torch.nn import functional as F

SILOG_MEAN_WEIGHT = 0.85  # ZoeDepth's lambda
METRE_WEIGHT = 0.1
DOMAIN_WEIGHT = 0.1


def depth_loss(prediction: Tensor, truth: Tensor) -> Tensor:
    """
    Return the scale-invariant log error, plus errors that scale does matter to.

    :param prediction: metres, (n, h, w).
    :param truth: metres, (n, h, w); 0 where there is none.
    """
    valid = truth > 0
    predicted, actual = prediction[valid].clamp(min=1e-3), truth[valid]
    error = predicted.log() - actual.log()
    silog = (error.square().mean() - SILOG_MEAN_WEIGHT * error.mean().square()).sqrt()
    return silog + error.abs().mean() + METRE_WEIGHT * (predicted - actual).abs().mean()


def domain_loss(logits: Tensor, domain: int) -> Tensor:
    """
    Return the routing's cross-entropy.

    :param logits: (n, 2).
    :param domain: the right head for the whole batch.
    """
    target = torch.full((len(logits),), domain, device=logits.device)
    return DOMAIN_WEIGHT * F.cross_entropy(logits, target)
