# SPDX-License-Identifier: Apache-2.0
"""Try candidates for a confidence in held-out rooms: `python -m training.confidence`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import ZoeDepthForDepthEstimation
from transformers.models.zoedepth.modeling_zoedepth import (
    ZoeDepthAttractorLayer,
    ZoeDepthAttractorLayerUnnormed,
    ZoeDepthConditionalLogBinomialSoftmax,
)

from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.evaluation.sparsification import sparsification
from depth_estimation_ros.core.maps import download
from depth_estimation_ros.resources import model_folder
from training.dataset import camera_sample
from training.model import make_processor

ROOMS = 50
WINDOW = 15
"""Pixels on a side of what counts as near an edge."""

Map = NDArray[np.float32]


@dataclass
class Bins:
    """What transformers' own model says of the bins that its depth is a mean of."""

    model: ZoeDepthForDepthEstimation
    shares: Tensor | None = None
    centres: Tensor | None = None

    def __post_init__(self) -> None:
        """Listen to the layers that know."""
        for layer in self.model.modules():
            if isinstance(layer, ZoeDepthConditionalLogBinomialSoftmax):
                layer.register_forward_hook(lambda *call: setattr(self, 'shares', call[-1]))
            if isinstance(layer, (ZoeDepthAttractorLayer, ZoeDepthAttractorLayerUnnormed)):
                layer.register_forward_hook(lambda *call: setattr(self, 'centres', call[-1][1]))

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> dict[str, Map]:
        """Return the bins' entropy and their spread about the mean, as shares of it."""
        self.model(**make_processor()(images=image, return_tensors='pt'))
        assert self.shares is not None and self.centres is not None
        shares = self.shares
        centres = functional.interpolate(self.centres, shares.shape[-2:], mode='bilinear',
                                         align_corners=True)
        mean = (shares * centres).sum(1)
        variance = (shares * (centres - mean[:, None]) ** 2).sum(1)
        entropy = torch.special.entr(shares).sum(1)
        return {'entropy of the bins': of_image(entropy, image.shape[:2]),
                'spread of the bins': of_image(variance.clamp(min=0).sqrt() / mean,
                                               image.shape[:2])}


def of_image(values: Tensor, shape: tuple[int, ...]) -> Map:
    """Return a map of ZoeDepth's padded input as one of the image's size."""
    rows, columns = (int((side / 2) ** 0.5 * 3) for side in shape)
    padded = functional.interpolate(
        values[None], (shape[0] + 2 * rows, shape[1] + 2 * columns), mode='bilinear',
        align_corners=True)[0, 0]
    return padded[rows:-rows, columns:-columns].numpy()


def edge_strength(depth: Map) -> Map:
    """Return how far log depth differs within a window."""
    logarithm = torch.from_numpy(np.log(depth))[None, None]
    largest, least = (functional.max_pool2d(sign * logarithm, WINDOW, 1, WINDOW // 2)
                      for sign in (1, -1))
    return (largest + least)[0, 0].numpy()


def uncertainties(estimator: DepthEstimator, bins: Bins, image: NDArray[np.uint8],
           ) -> tuple[Map, dict[str, Map]]:
    """Return depth, and each candidate's map: larger is less sure."""
    found, = download(estimator.submit([image], flip=True)())()
    assert found.confidence is not None
    level = np.random.default_rng(0).random(found.depth.shape, np.float32)
    return found.depth, {
        'disagreement with the mirrored image': 1 - found.confidence, **bins(image),
        'edge strength': edge_strength(found.depth), 'depth itself': found.depth,
        'chance': level}


def measured(rooms: int) -> Iterator[tuple[str, float, float]]:
    """Yield each candidate's name, and AUSE and AURG as means over rooms."""
    folder = model_folder('demo')
    estimator = DepthEstimator(EstimatorOptions(folder, device='cpu', backend='torch'))
    bins = Bins(ZoeDepthForDepthEstimation.from_pretrained(folder).float().eval())
    sums: dict[str, list[tuple[float, float]]] = {}
    for index in tqdm(range(rooms), unit='room', disable=None):
        sample = camera_sample('test', index)
        image = sample.image.permute(1, 2, 0).contiguous().numpy()
        depth, candidates = uncertainties(estimator, bins, image)
        errors = np.abs(depth / sample.depth.numpy() - 1)
        for name, uncertainty in candidates.items():
            curve = sparsification(errors, uncertainty)
            sums.setdefault(name, []).append((curve.ause, curve.aurg))
    for name, each in sums.items():
        ause, aurg = np.mean(each, axis=0)
        yield name, float(ause), float(aurg)


def table(rows: list[tuple[str, float, float]]) -> str:
    """Return the best first."""
    lines = ['| candidate | AUSE | AURG |', '|---|---|---|']
    lines += [f'| {name} | {ause:.3f} | {aurg:+.3f} |'
              for name, ause, aurg in sorted(rows, key=lambda row: row[1])]
    return '\n'.join(lines)


def main(say: Callable[[str], object] = print) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rooms', type=int, default=ROOMS)
    say(table(list(measured(parser.parse_args().rooms))))


if __name__ == '__main__':
    main()
