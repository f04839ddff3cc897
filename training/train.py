# SPDX-License-Identifier: Apache-2.0
"""Train the demo model: `python -m training.train`; run it again to resume."""

import math
import sys
import time
from dataclasses import asdict

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm
from transformers import ZoeDepthForDepthEstimation

from training import model as network
from training.curve import Curve, plot_curve
from training.dataset import Batch, Batches, loader
from training.evaluate import validation_metrics
from training.export import export
from training.losses import depth_loss, domain_loss, gradient_loss, object_weights
from training.options import Options, Stage, parse_options

WARM_STEPS = 150
# of the batches, which train the head of the other domain, should routing err, and are mirrored
CHANCES = torch.tensor([0.3, 0.5])


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
            self.model, multi_avg_fn=get_ema_multi_avg_fn(options.average_decay))
        self.optimizer = make_optimizer(self.model, options)
        self.step, self.samples, self._began = 0, 0, time.monotonic()
        self.curve = Curve(options.out / 'curve.csv')
        self._checkpoint = options.out / 'checkpoint.pt'
        if self._checkpoint.exists():
            self._load()

    @property
    def average(self) -> ZoeDepthForDepthEstimation:
        """The model with the running average of the weights."""
        return self._average.module

    @property
    def seconds(self) -> float:
        """How long it has trained, with what it waited for, in this process and before."""
        return time.monotonic() - self._began

    def run(self) -> None:
        """Train through all stages."""
        last = 0
        with tqdm(initial=self.step, unit='step') as bar:
            for stage in self.options.stages:
                last = last + stage.steps if stage.steps is not None else sys.maxsize
                if not self._finished(last):
                    self._run_stage(stage, last, bar)

    def _finished(self, last: int) -> bool:
        return self.step >= last or self.options.progress(self.step, self.seconds) >= 1

    def _run_stage(self, stage: Stage, last: int, bar: 'tqdm[None]') -> None:
        source = Batches(self.step, stage.batch, stage.height, stage.width, self.options.seed)
        for batch in loader(source, self.options.workers):
            loss = self._train_step(batch)
            bar.update()
            bar.set_postfix(loss=f'{loss:.3f}')
            finished = self._finished(last)
            if finished or self.step % self.options.evaluate_every == 0:
                self._evaluate(stage, loss)
            if finished:
                return

    def _train_step(self, batch: Batch) -> float:
        rate = learning_rate(self.step, self.options.progress(self.step, self.seconds))
        for group in self.optimizer.param_groups:
            group['lr'] = group['highest'] * rate
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self._average.update_parameters(self.model)
        self.step, self.samples = self.step + 1, self.samples + len(batch.images)
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        options = self.options
        chance = torch.Generator().manual_seed(options.seed + self.step)
        other, mirrored = torch.rand(2, generator=chance) < CHANCES
        thinning = network.Thinning.draw(chance) if options.thin else network.Thinning()
        batch = batch.mirrored() if mirrored else batch
        domain = int(batch.corridor)
        pixels = batch.images.to(self.device).float().div_(127.5).sub_(1)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        depth, logits = network.forward(
            self.model, pixels, network.HEADS[domain ^ int(other)], torch.bfloat16, thinning)
        truth = thinning.apply(batch.depth.to(self.device))
        weight = object_weights(thinning.apply(batch.objects.to(self.device)),
                                options.object_weight)
        return (depth_loss(depth, truth, weight)
                + options.gradient_weight * gradient_loss(depth, truth)
                + options.router_weight * domain_loss(logits, domain))

    def _evaluate(self, stage: Stage, loss: float) -> None:
        metrics, routed = validation_metrics(self.average.eval(), stage.height, stage.width)
        self.curve.add(step=self.step, samples=self.samples, seconds=round(self.seconds),
                       height=stage.height, width=stage.width, loss=loss,
                       abs_rel=metrics.abs_rel, delta1=metrics.delta1, rmse_m=metrics.rmse_m,
                       routed=routed)
        tqdm.write(f'step {self.step}: {metrics}, routed {routed:.1%}')
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
        self._began = time.monotonic() - state['seconds']


def make_optimizer(
    model: ZoeDepthForDepthEstimation, options: Options
) -> torch.optim.AdamW:
    """Return AdamW that decays matrices only and gives the router a lower rate."""
    router = {id(weight) for weight in network.router_parameters(model)}
    groups = []
    for routes, rate in ((False, 1.0), (True, options.router_rate)):
        weights = [p for p in model.parameters() if (id(p) in router) == routes]
        highest = options.learning_rate * rate
        groups += [
            {'params': [p for p in weights if p.ndim > 1], 'weight_decay': 0.02,
             'highest': highest},
            {'params': [p for p in weights if p.ndim <= 1], 'weight_decay': 0.0,
             'highest': highest}]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98))


def learning_rate(step: int, progress: float) -> float:
    """
    Return a step's share of the highest rate: a short warm-up, then a cosine to nearly nothing.

    :param step: from 0.
    :param progress: of the whole training, from 0 to 1.
    """
    cosine = 0.5 + 0.5 * math.cos(math.pi * progress)
    return min(1.0, (step + 1) / WARM_STEPS) * (0.01 + 0.99 * cosine)


def main() -> None:
    """Train, plot the curve and export the model."""
    options = parse_options(__doc__)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    network.compile_slow_parts()
    trainer = Trainer(options)
    trainer.run()
    plot_curve([trainer.curve.path], options.out / 'curve.png')
    if options.export is not None:
        export(trainer.average, options.export)


if __name__ == '__main__':
    main()
