# SPDX-License-Identifier: Apache-2.0
"""Train the router alone: `python -m training.router --export FOLDER`; the heads stay fixed."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm
from transformers import ZoeDepthForDepthEstimation

from training import model as network
from training.curve import Curve
from training.dataset import Batch, Batches, is_corridor, loader, network_sample
from training.export import export
from training.train import learning_rate

RENDERED = 16  # images a batch of scenes
BATCH = 32  # bottlenecks a step
REPORT_EVERY = 200  # steps


@dataclass(frozen=True)
class Routes:
    """What the router sees of some scenes, and which head is right for each."""

    bottlenecks: Tensor  # float32, (n, c, h, w)
    heads: Tensor  # int64, (n,)

    def drawn(self, steps: int, generator: torch.Generator) -> Iterator['Routes']:
        """Draw a batch a step."""
        for _ in range(steps):
            chosen = torch.randint(len(self.heads), (BATCH,), generator=generator)
            yield Routes(self.bottlenecks[chosen], self.heads[chosen])


@dataclass(frozen=True)
class Routing:
    """How a router does: its cross-entropy, and which share of the scenes it sends right."""

    loss: float
    routed: float
    rooms: float
    corridors: float


@torch.no_grad()
def bottlenecks(model: ZoeDepthForDepthEstimation, images: Tensor) -> Tensor:
    """Run what stays fixed, in bfloat16 like the training of all, on uint8 (n, 3, h, w)."""
    pixels = images.to(model.device).float().div_(127.5).sub_(1)
    with torch.autocast(model.device.type, torch.bfloat16):
        _, bottleneck = network.encode(model, pixels)
    projected: Tensor = model.metric_head.conv2(bottleneck.float())
    return projected


def training_routes(model: ZoeDepthForDepthEstimation, batches: Iterable[Batch]) -> Routes:
    """Look at every batch as it is and mirrored; the mix of rooms and corridors is the world's."""
    seen, heads = [], []
    for batch in batches:
        for view in (batch, batch.mirrored()):
            seen.append(bottlenecks(model, view.images))
            heads.append(torch.full((len(view.images),), int(view.corridor)))
    return Routes(torch.cat(seen), torch.cat(heads).to(model.device))


def validation_routes(model: ZoeDepthForDepthEstimation, scenes: int) -> Routes:
    """Look at the first validation scenes."""
    seen = []
    for index in tqdm(range(scenes), desc='validation'):
        sample = network_sample('validation', index, is_corridor(index),
                                network.NETWORK_HEIGHT, network.NETWORK_WIDTH)
        seen.append(bottlenecks(model, sample.image[None]))
    heads = torch.tensor([int(is_corridor(index)) for index in range(scenes)])
    return Routes(torch.cat(seen), heads.to(model.device))


@torch.no_grad()
def measure(model: ZoeDepthForDepthEstimation, routes: Routes) -> Routing:
    """Measure the router as it stands."""
    model.eval()
    logits = torch.cat([network.route(model.metric_head, part)
                        for part in routes.bottlenecks.split(BATCH)])
    right = (logits.argmax(1) == routes.heads).float()
    rooms, corridors = (float(right[routes.heads == head].mean()) for head in (0, 1))
    return Routing(float(F.cross_entropy(logits, routes.heads)), float(right.mean()),
                   rooms, corridors)


def train(
    model: ZoeDepthForDepthEstimation, routes: Routes, steps: int, rate: float, seed: int
) -> Iterator[int]:
    """
    Train the router, and give way every `REPORT_EVERY` steps and at the end.

    :param routes: of training scenes.
    :param rate: the highest learning rate.
    :param seed: of what each step sees.
    """
    optimizer = torch.optim.AdamW(network.router_parameters(model), rate, weight_decay=0.02)
    drawn = routes.drawn(steps, torch.Generator().manual_seed(seed))
    for step, batch in enumerate(tqdm(drawn, total=steps, desc='router')):
        for group in optimizer.param_groups:
            group['lr'] = rate * learning_rate(step, step / steps)
        model.train()  # for the router's dropout
        with torch.autocast(model.device.type, torch.bfloat16):
            logits = network.route(model.metric_head, batch.bottlenecks)
        optimizer.zero_grad()
        F.cross_entropy(logits.float(), batch.heads).backward()
        optimizer.step()
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == steps:
            yield step + 1


def rendered(scenes: int, seed: int, workers: int) -> Iterator[Batch]:
    """Render training scenes, three rooms to one corridor as in the world."""
    source = Batches(0, RENDERED, network.NETWORK_HEIGHT, network.NETWORK_WIDTH, seed)
    count = scenes // RENDERED
    batches: Iterator[Batch] = iter(
        tqdm(islice(loader(source, workers), count), total=count, desc='training'))
    return batches


def report(
    model: ZoeDepthForDepthEstimation, routes: Routes, held_out: Routes,
    options: argparse.Namespace,
) -> None:
    """Train, and write and print how the router does on held-out scenes on the way."""
    options.out.mkdir(parents=True, exist_ok=True)
    curve = Curve(options.out / 'router_curve.csv')
    curve.add(step=0, **asdict(measure(model, held_out)))
    for step in train(model, routes, options.steps, options.learning_rate, options.seed):
        routing = measure(model, held_out)
        curve.add(step=step, **asdict(routing))
        tqdm.write(f'step {step}: {routing}')


def main() -> None:
    """Render, train, print how the router does on the validation scenes, and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--start', type=Path, default=Path('models/demo'))
    parser.add_argument('--export', type=Path, required=True)
    parser.add_argument('--out', type=Path, default=Path('build/router'))
    parser.add_argument('--scenes', type=int, default=5600)
    parser.add_argument('--validation-scenes', type=int, default=512)
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--learning-rate', type=float, default=3e-4)
    parser.add_argument('--seed', type=int, default=9)
    parser.add_argument('--workers', type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    model = ZoeDepthForDepthEstimation.from_pretrained(options.start, dtype=torch.float32)
    model.to(device).eval()
    routes = training_routes(model, rendered(options.scenes, options.seed, options.workers))
    held_out = validation_routes(model, options.validation_scenes)
    report(model, routes, held_out, options)
    export(model, options.export)


if __name__ == '__main__':
    main()
