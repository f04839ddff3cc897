"""Train the demo model: `python -m training.train`; run it again to resume."""

import argparse
import math
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import ZoeDepthForDepthEstimation

from training import model as network
from training.curve import Curve, plot_curve
from training.dataset import Batch, Batches
from training.evaluate import validation_metrics
from training.export import export
from training.losses import depth_loss, domain_loss
from training.textures import texture_bank

AVERAGE_DECAY = 0.998  # of the running average of the weights, which is what is exported
OTHER_HEAD_SHARE = 0.3  # batches that train the head of the other domain, should routing err


@dataclass(frozen=True)
class Stage:
    """Some steps at one resolution."""

    steps: int
    height: int
    width: int
    batch: int


@dataclass
class Options:
    """What the command line decides."""

    out: Path  # where checkpoints and the curve go
    export: Path | None  # where the finished model goes
    start: Path | None  # an exported model to go on from, rather than anew
    low_steps: int  # at half the network's resolution
    full_steps: int
    seed: int
    learning_rate: float
    evaluate_every: int  # steps
    threads: int
    workers: int

    @property
    def stages(self) -> tuple[Stage, Stage]:
        """Low resolution first."""
        height, width = network.NETWORK_HEIGHT, network.NETWORK_WIDTH
        return (Stage(self.low_steps, height // 2, width // 2, 32),
                Stage(self.full_steps, height, width, 8))

    @property
    def steps(self) -> int:
        """All steps together."""
        return self.low_steps + self.full_steps


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('build/training'))
    parser.add_argument('--export', type=Path, default=None)
    parser.add_argument('--start', type=Path, default=None)
    parser.add_argument('--low-steps', type=int, default=1200)
    parser.add_argument('--full-steps', type=int, default=2450)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--learning-rate', type=float, default=1e-3)
    parser.add_argument('--evaluate-every', type=int, default=200)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--workers', type=int, default=1)
    return Options(**vars(parser.parse_args(arguments)))


class Trainer:
    """The model, its optimiser, and how far they have come."""

    def __init__(self, options: Options) -> None:
        """
        Start anew, from an exported model, or from the last checkpoint under `options.out`.

        :param options: what the command line decides.
        """
        self.options = options
        self.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        model = (network.make_model(options.seed) if options.start is None else
                 ZoeDepthForDepthEstimation.from_pretrained(options.start, dtype=torch.float32))
        self.model = model.to(self.device, memory_format=torch.channels_last).train()
        self._average = AveragedModel(
            self.model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_DECAY))
        self.optimizer = make_optimizer(self.model, options.learning_rate)
        self.step, self.samples, self.seconds = 0, 0, 0.0
        self.curve = Curve(options.out / 'curve.csv')
        self._checkpoint = options.out / 'checkpoint.pt'
        if self._checkpoint.exists():
            self._load()

    @property
    def average(self) -> ZoeDepthForDepthEstimation:
        """The model with the running average of the weights."""
        return self._average.module

    def run(self) -> None:
        """Train through all stages."""
        with tqdm(total=self.options.steps, initial=self.step, unit='step') as bar:
            before = 0
            for stage in self.options.stages:
                self._run_stage(stage, before, bar)
                before += stage.steps

    def _run_stage(self, stage: Stage, before: int, bar: 'tqdm[None]') -> None:
        left = before + stage.steps - self.step
        if left <= 0:
            return
        source = Batches(self.step, stage.batch, stage.height, stage.width, self.options.seed)
        workers = self.options.workers
        loader = DataLoader(source, batch_size=None, num_workers=workers,
                            prefetch_factor=6 if workers else None)
        for batch in islice(loader, left):
            loss = self._train_step(batch)
            bar.update()
            bar.set_postfix(loss=f'{loss:.3f}')
            if self.step % self.options.evaluate_every == 0 or self.step == self.options.steps:
                self._evaluate(stage, loss)

    def _train_step(self, batch: Batch) -> float:
        start = time.perf_counter()
        for group in self.optimizer.param_groups:
            group['lr'] = learning_rate(self.step, self.options)
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self._average.update_parameters(self.model)
        self.step, self.samples = self.step + 1, self.samples + len(batch.images)
        self.seconds += time.perf_counter() - start
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        chance = torch.Generator().manual_seed(self.options.seed + self.step)
        domain = int(batch.corridor)
        other = float(torch.rand((), generator=chance)) < OTHER_HEAD_SHARE
        head = network.HEADS[domain ^ other]
        thinning = network.Thinning.draw(chance)
        pixels = batch.images.to(self.device).float().div_(127.5).sub_(1)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        depth, logits = network.forward(self.model, pixels, head, torch.bfloat16, thinning)
        truth = thinning.apply(batch.depth.to(self.device))
        return depth_loss(depth, truth) + domain_loss(logits, domain)

    def _evaluate(self, stage: Stage, loss: float) -> None:
        metrics = validation_metrics(self.average.eval(), stage.height, stage.width)
        self.curve.add(step=self.step, samples=self.samples, seconds=round(self.seconds),
                       height=stage.height, width=stage.width, loss=loss,
                       abs_rel=metrics.abs_rel, delta1=metrics.delta1, rmse_m=metrics.rmse_m)
        tqdm.write(f'step {self.step}: {metrics}')
        self._save()

    def _save(self) -> None:
        state = {'model': self.model.state_dict(), 'average': self._average.state_dict(),
                 'optimizer': self.optimizer.state_dict(), 'step': self.step,
                 'samples': self.samples, 'seconds': self.seconds,
                 'options': {name: str(value) for name, value in asdict(self.options).items()}}
        partial = self._checkpoint.with_suffix('.partial')
        torch.save(state, partial)
        partial.replace(self._checkpoint)

    def _load(self) -> None:
        state = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state['model'])
        self._average.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.step, self.samples = state['step'], state['samples']
        self.seconds = state['seconds']


def make_optimizer(model: ZoeDepthForDepthEstimation, rate: float) -> torch.optim.AdamW:
    """Return AdamW that decays matrices only."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{'params': matrices, 'weight_decay': 0.02}, {'params': others, 'weight_decay': 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def learning_rate(step: int, options: Options) -> float:
    """Return the rate of a step: a short warm-up, then a cosine to nearly nothing."""
    warm = min(1.0, (step + 1) / 150)
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(step / options.steps, 1.0))
    return options.learning_rate * warm * (0.01 + 0.99 * cosine)


def main() -> None:
    """Train, plot the curve and export the model."""
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    network.compile_slow_parts()
    texture_bank()
    trainer = Trainer(options)
    trainer.run()
    plot_curve(trainer.curve.path, options.out / 'curve.png')
    if options.export is not None:
        export(trainer.average, options.export)


if __name__ == '__main__':
    main()
