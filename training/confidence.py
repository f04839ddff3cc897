# SPDX-License-Identifier: Apache-2.0
"""Try candidates for a confidence in held-out rooms: `python -m training.confidence`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import cv2
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
from depth_estimation_ros.recordings import find_cameras, open_recording
from depth_estimation_ros.resources import model_folder
from depth_estimation_ros.tools.views import recorded_views
from training.dataset import camera_sample
from training.model import make_processor
from training.steadiness.drives import GATE, KINDS, MEMORY, filtered, take

ROOMS = 50
WINDOW = 15
"""Pixels on a side of what counts as near an edge."""

Map = NDArray[np.float32]

FRAMES = 12
"""Of a drive, before what its filter says is looked at."""


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


@dataclass(frozen=True)
class Seen:
    """A view whose depth is known."""

    image: NDArray[np.uint8]
    """RGB, H×W×3."""
    truth: Map
    """Metres, H×W, NaN where unknown."""
    candidates: Mapping[str, Map] = field(default_factory=dict)
    """What more than the image tells of the depth: larger is less sure."""


def rooms_seen(count: int) -> Iterator[Seen]:
    """Yield images of held-out rooms and their true depth."""
    for index in range(count):
        sample = camera_sample('test', index)
        yield Seen(sample.image.permute(1, 2, 0).contiguous().numpy(), sample.depth.numpy())


def drives_seen(count: int, estimator: DepthEstimator) -> Iterator[Seen]:
    """Yield the last image of drives through held-out rooms, with what the filter makes of it."""
    kind = next(kind for kind in KINDS if kind.moves)
    for number in range(count):
        seen = take('test', number, kind, estimator, FRAMES)
        steady, _ = filtered(seen, odometry=True, memory=MEMORY, gate=GATE)
        yield Seen(seen.images[-1], seen.video.depth[-1], {
            'disagreement with the temporal filter': np.abs(seen.plain[-1] / steady[-1] - 1)})


def recorded_seen(path: str) -> Iterator[Seen]:
    """Yield a recorded camera's images and another sensor's depth of the same view."""
    recording = open_recording(path)
    for view in recorded_views(recording, find_cameras(recording)[0]):
        if view.image is not None and view.truth is not None:
            rows, columns = view.image.shape[:2]
            truth = cv2.resize(view.truth, (columns, rows), interpolation=cv2.INTER_NEAREST)
            yield Seen(view.image, np.asarray(truth, np.float32))


def measured(views: Iterable[Seen], estimator: DepthEstimator, *,
             align: bool) -> Iterator[tuple[str, float, float]]:
    """
    Yield each candidate's name, and AUSE and AURG as means over views.

    :param align: take each view's depth times what makes the median right, as of a camera that the
        model was not made for.
    """
    bins = Bins(ZoeDepthForDepthEstimation.from_pretrained(model_folder('demo')).float().eval())
    sums: dict[str, list[tuple[float, float]]] = {}
    for seen in tqdm(views, unit='view', disable=None):
        depth, candidates = uncertainties(estimator, bins, seen.image)
        known = np.isfinite(seen.truth) & (seen.truth > 0)
        ratio = np.where(known, depth / np.where(known, seen.truth, 1.0), np.nan)
        errors = np.abs(ratio / (np.nanmedian(ratio) if align else 1.0) - 1)
        for name, uncertainty in {**candidates, **seen.candidates}.items():
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
    parser.add_argument('--drives', type=int, default=0, help='so many drives through rooms in '
                        'place of single views, with what the temporal filter says')
    parser.add_argument('--recording', help='a recorded camera with depth of another sensor in '
                        "its view, in place of rooms; each image's depth is scaled to the median")
    options = parser.parse_args()
    estimator = DepthEstimator(EstimatorOptions(model_folder('demo'), device='cpu',
                                                backend='torch'))
    views = (recorded_seen(options.recording) if options.recording else
             drives_seen(options.drives, estimator) if options.drives else
             rooms_seen(options.rooms))
    say(table(list(measured(views, estimator, align=bool(options.recording)))))


if __name__ == '__main__':
    main()
