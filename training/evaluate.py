# SPDX-License-Identifier: Apache-2.0
"""Measure a model on held-out scenes: `python -m training.evaluate` prints the table."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm
from transformers import ZoeDepthForDepthEstimation, ZoeDepthImageProcessor

from depth_estimation_ros.core.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from training.dataset import (
    Sample,
    background_depth,
    camera_sample,
    is_corridor,
    make_scene,
    network_sample,
    padding,
    scene_rng,
)
from training.model import HEADS
from training.objects import ObjectErrors, object_table
from training.rays import cast_rays, first_hits
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH

VALIDATION_SCENES = 64
MEDIAN_SCENES = 1000  # training scenes that the baselines are taken from
MEDIAN_STEP = 8  # pixels between the rays of the baselines' maps

Predictor = Callable[[np.ndarray], np.ndarray]


@lru_cache
def validation_samples(height: int, width: int) -> list[Sample]:
    """Render the validation scenes at the network's input size, once."""
    return [network_sample('validation', index, is_corridor(index), height, width)
            for index in range(VALIDATION_SCENES)]


@torch.no_grad()
def validation_metrics(
    model: ZoeDepthForDepthEstimation, height: int, width: int
) -> tuple[DepthMetrics, float]:
    """
    Measure on the validation scenes, through the head that is chosen, at the network's resolution.

    :param model: in evaluation mode.
    :param height: of the network's input; width alike.
    :return: the errors, and the share of scenes that were routed to the head of their kind.
    """
    results, right = [], []
    for sample in validation_samples(height, width):
        pixels = sample.image.to(model.device).float().div(127.5).sub(1)[None]
        output = model(pixels)
        depth = output.predicted_depth[0].cpu().numpy()
        results.append(depth_metrics(depth, sample.depth.numpy()))
        right.append(int(output.domain_logits.argmax()) == int(sample.corridor))
    return mean_metrics(results), float(np.mean(right))


class Network:
    """The exported model with transformers' own pre- and post-processing."""

    def __init__(self, folder: Path) -> None:
        """
        Load in single precision.

        :param folder: of the exported model.
        """
        self._model = ZoeDepthForDepthEstimation.from_pretrained(folder, dtype=torch.float32)
        self._model.eval()
        self._processor = ZoeDepthImageProcessor.from_pretrained(folder)
        self.heads: list[str] = []  # which head each image was routed to
        self.seconds: list[float] = []  # how long the network took for each image

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """
        Predict Z depth.

        :param image: uint8, (h, w, 3), RGB.
        :return: float32, (h, w), metres.
        """
        inputs = self._processor(images=image, return_tensors='pt')
        start = time.perf_counter()
        output = self._model(**inputs)
        self.seconds.append(time.perf_counter() - start)
        self.heads.append(HEADS[int(output.domain_logits.argmax())])
        return restore(output.predicted_depth[0], *image.shape[:2]).numpy()


def restore(depth: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """
    Undo the resize and the padding, as transformers does with torchvision's help.

    :param depth: float32, the network's output.
    :param height: of the image; width alike.
    """
    top, left = padding(height), padding(width)
    padded = (height + 2 * top, width + 2 * left)
    wide = F.interpolate(depth[None, None], padded, mode='bicubic', align_corners=False)[0, 0]
    return wide[top : top + height, left : left + width]


@dataclass(frozen=True)
class Baselines:
    """What a guess without looking at the image would say, from training scenes."""

    constant: np.ndarray  # float32, (480, 640), metres, the same everywhere
    median: np.ndarray  # float32, (480, 640), metres, of each pixel


def fit_baselines(scenes: int = MEDIAN_SCENES) -> Baselines:
    """
    Take medians over training scenes.

    :param scenes: how many.
    """
    columns = torch.arange(0, IMAGE_WIDTH, MEDIAN_STEP, dtype=torch.float32)
    rows = torch.arange(0, IMAGE_HEIGHT, MEDIAN_STEP, dtype=torch.float32)
    maps = []
    for index in tqdm(range(scenes), desc='baselines'):
        world, camera = make_scene(scene_rng('train', index), 'train', is_corridor(index))
        maps.append(first_hits(world, camera, cast_rays(camera, columns, rows))[0].numpy())
    median = np.median(maps, axis=0).repeat(MEDIAN_STEP, 0).repeat(MEDIAN_STEP, 1)
    return Baselines(np.full_like(median, np.median(maps)), median)


@dataclass(frozen=True)
class Score:
    """One predictor's errors, scene by scene."""

    name: str
    rooms: list[DepthMetrics]
    corridors: list[DepthMetrics]
    objects: ObjectErrors

    def add(self, depth: np.ndarray, sample: Sample, background: np.ndarray) -> None:
        """Compare one depth map with its ground truth, and with that of the empty room."""
        truth = sample.depth.numpy()
        metrics = depth_metrics(depth, truth)
        (self.corridors if sample.corridor else self.rooms).append(metrics)
        self.objects.add(depth, truth, background)


def table(scores: list[Score]) -> str:
    """Format the scores as a Markdown table."""
    lines = ['| | scenes | AbsRel | delta1 | RMSE, m | SILog |', '|---|---|---|---|---|---|']
    for score in scores:
        for suffix, results in (('', score.rooms + score.corridors),
                                (', rooms', score.rooms), (', corridors', score.corridors)):
            if results:
                mean = mean_metrics(results)
                lines.append(f'| {score.name}{suffix} | {len(results)} | {mean.abs_rel:.3f} '
                             f'| {mean.delta1:.3f} | {mean.rmse_m:.3f} | {mean.silog:.1f} |')
    return '\n'.join(lines)


def evaluate(network: Network, baselines: Baselines, scenes: int) -> list[Score]:
    """
    Score the model and the baselines on held-out 640 x 480 images, without any alignment.

    :param network: the exported model.
    :param baselines: fitted on training scenes.
    :param scenes: how many; every fourth is a corridor.
    """
    predictors: dict[str, Predictor] = {
        'demo model': network,
        'per-pixel median': lambda image: baselines.median,
        'constant depth': lambda image: baselines.constant,
    }
    scores = [Score(name, [], [], ObjectErrors(name)) for name in predictors]
    for index in tqdm(range(scenes), desc='scenes'):
        sample = camera_sample('test', index)
        background = background_depth('test', index).numpy()
        image = sample.image.permute(1, 2, 0).contiguous().numpy()
        for score, predict in zip(scores, predictors.values()):
            score.add(predict(image), sample, background)
    return scores


def routing_lines(heads: list[str]) -> str:
    """Say how many scenes went to the head of their kind, for each kind."""
    wanted = [HEADS[is_corridor(index)] for index in range(len(heads))]
    right = np.array([head == kind for head, kind in zip(heads, wanted)])
    parts = [f'{right.mean():.1%} of all scenes']
    for name, kind in zip(('rooms', 'corridors'), HEADS):
        chosen = right[[head == kind for head in wanted]]
        parts.append(f'{chosen.mean():.1%} of {name}' if len(chosen) else f'no {name}')
    return 'routed to the head of their kind: ' + ', '.join(parts)


def main() -> None:
    """Print the tables, the routing and the time a frame takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, default=Path('models/demo'))
    parser.add_argument('--scenes', type=int, default=240)
    parser.add_argument('--threads', type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = Network(options.model)
    scores = evaluate(network, fit_baselines(), options.scenes)
    print(table(scores), object_table([score.objects for score in scores]),
          routing_lines(network.heads), sep='\n\n')
    print(f'network: {1000 * np.median(network.seconds):.0f} ms a frame, '
          f'{options.threads} threads')


if __name__ == '__main__':
    main()
