# SPDX-License-Identifier: Apache-2.0
"""What the command line of the training decides."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

from training.model import NETWORK_HEIGHT, NETWORK_WIDTH


@dataclass(frozen=True)
class Stage:
    """Some steps at one resolution."""

    steps: int | None  # None: until the time is up
    height: int
    width: int
    batch: int


@dataclass(frozen=True)
class Options:
    """A training; by default as the second part that made the shipped weights, on a GPU."""

    out: Path = Path('build/training')  # where the checkpoint and the curve go
    export: Path | None = None  # where the finished model goes
    start: Path | None = None  # an exported model to go on from, rather than anew
    seed: int = 0  # another one sees other scenes
    seconds: float | None = None  # all in all; replaces full_steps
    low_steps: int = 0  # at half the network's resolution, with four times the batch
    full_steps: int = 5000
    batch: int = 32  # images a step at full resolution
    thin: bool = False  # train a part of the metric head a step, which a CPU can afford
    learning_rate: float = 5e-4  # the highest
    router_rate: float = 0.2  # the router's learning rate, as a share of that
    object_weight: float = 5.0  # of a pixel of an object; the others have 1
    gradient_weight: float = 0.8  # of the gradient loss
    router_weight: float = 0.3  # of the router's cross-entropy
    average_decay: float = 0.999  # of the running average of the weights, which is exported
    evaluate_every: int = 500  # steps
    threads: int = 1  # of the network on a CPU
    workers: int = 1  # processes that render

    @property
    def stages(self) -> tuple[Stage, Stage]:
        """Low resolution first."""
        full = None if self.seconds is not None else self.full_steps
        return (Stage(self.low_steps, NETWORK_HEIGHT // 2, NETWORK_WIDTH // 2, 4 * self.batch),
                Stage(full, NETWORK_HEIGHT, NETWORK_WIDTH, self.batch))

    def progress(self, step: int, seconds: float) -> float:
        """Return how far a training is, from 0 to 1: by the clock, or else by its steps."""
        if self.seconds is not None:
            return min(seconds / self.seconds, 1.0)
        return min(step / max(self.low_steps + self.full_steps, 1), 1.0)


def parse_options(description: str | None, arguments: list[str] | None = None) -> Options:
    """
    Read the command line: one option a field, with the field's default.

    :param description: what `--help` begins with.
    :param arguments: replace those of the process.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    empty = {'export': Path, 'start': Path, 'seconds': float}  # what a default of None becomes
    for option in fields(Options):
        name, default = '--' + option.name.replace('_', '-'), option.default
        if isinstance(default, bool):
            parser.add_argument(name, action='store_true')
        else:
            kind = empty.get(option.name, type(default))
            parser.add_argument(name, type=kind, default=default)
    return Options(**vars(parser.parse_args(arguments)))
