"""The error of a depth map against ground truth, as ZoeDepth and Eigen et al. define it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class DepthMetrics:
    """Errors over the valid pixels; every field is NaN where there is no valid pixel."""

    abs_rel: float  # mean of |prediction - truth| / truth
    rmse_m: float  # root mean square error, metres
    delta1: float  # share of pixels with max(prediction / truth, truth / prediction) < 1.25
    silog: float  # scale-invariant log error times 100, as KITTI and ZoeDepth print it
    pixels: int  # how many pixels were compared


def valid_pixels(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """
    Mark the pixels where both maps hold a depth.

    :param prediction: metres, any shape.
    :param truth: metres, the same shape; 0, negative, NaN and Inf mean unknown.
    :return: bool, the same shape.
    """
    known = np.isfinite(truth) & (truth > 0)
    return np.asarray(known & np.isfinite(prediction) & (prediction > 0))


def depth_metrics(prediction: ArrayLike, truth: ArrayLike) -> DepthMetrics:
    """
    Compare a predicted depth map with ground truth, without scale or shift alignment.

    The definitions are those of Eigen et al., "Depth Map Prediction from a Single Image using a
    Multi-Scale Deep Network" (2014), section 4, and of `compute_errors` in ZoeDepth's
    `zoedepth/utils/misc.py`.

    :param prediction: metres, float, any shape.
    :param truth: metres, the same shape; 0, negative, NaN and Inf are left out.
    :raises ValueError: the shapes differ.
    """
    predicted = np.asarray(prediction, np.float64)
    actual = np.asarray(truth, np.float64)
    if predicted.shape != actual.shape:
        raise ValueError(f'prediction is {predicted.shape}, truth is {actual.shape}')
    valid = valid_pixels(predicted, actual)
    if not valid.any():
        return DepthMetrics(np.nan, np.nan, np.nan, np.nan, 0)
    return _errors(predicted[valid], actual[valid])


def _errors(predicted: np.ndarray, actual: np.ndarray) -> DepthMetrics:
    difference = predicted - actual
    ratio = np.maximum(predicted / actual, actual / predicted)
    log_difference = np.log(predicted) - np.log(actual)
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(difference) / actual)),
        rmse_m=float(np.sqrt(np.mean(difference**2))),
        delta1=float(np.mean(ratio < 1.25)),
        silog=float(100.0 * np.std(log_difference)),
        pixels=int(actual.size),
    )
