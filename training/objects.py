# SPDX-License-Identifier: Apache-2.0
"""How well objects stand out from the room behind them."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

GAP_M = 0.3  # an object stands at least this much before the room's own surface
NEAR_M = 3.0


@dataclass(frozen=True)
class ObjectErrors:
    """Counts pixels of one predictor, over all scenes together."""

    name: str
    pixels: Counter[str] = field(default_factory=Counter)

    def add(self, depth: np.ndarray, truth: np.ndarray, background: np.ndarray) -> None:
        """
        Compare one depth map with its ground truth.

        :param depth: metres, (h, w).
        :param truth: metres, (h, w), everywhere known.
        :param background: metres, (h, w), the truth of the same room without objects.
        """
        error, objects = np.abs(depth - truth), truth <= background - GAP_M
        nearer = objects & (error < np.abs(depth - background))
        near = objects & (truth <= NEAR_M)
        marks = {
            'all': np.ones_like(objects), 'objects': objects,
            'objects 10': objects & (error <= 0.10 * truth),
            'objects 25': objects & (error <= 0.25 * truth), 'nearer': nearer,
            'near objects': near, 'near nearer': near & nearer,
            'others': ~objects, 'others 10': ~objects & (error <= 0.10 * truth),
        }
        self.pixels.update({name: int(mark.sum()) for name, mark in marks.items()})

    def share(self, part: str, whole: str) -> float:
        """Return which share of some pixels is of a kind; NaN where there are none."""
        return self.pixels[part] / self.pixels[whole] if self.pixels[whole] else float('nan')


def object_table(errors: list[ObjectErrors]) -> str:
    """Format the shares as a Markdown table."""
    lines = ['| | objects, share of all pixels | within 10 % | within 25 % '
             '| nearer to the object than to the background | the same, within 3 m '
             '| other pixels within 10 % |', '|---|---|---|---|---|---|---|']
    pairs = (('objects', 'all'), ('objects 10', 'objects'), ('objects 25', 'objects'),
             ('nearer', 'objects'), ('near nearer', 'near objects'), ('others 10', 'others'))
    for error in errors:
        shares = ' | '.join(f'{error.share(part, whole):.3f}' for part, whole in pairs)
        lines.append(f'| {error.name} | {shares} |')
    return '\n'.join(lines)
