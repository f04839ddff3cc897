# SPDX-License-Identifier: Apache-2.0
"""The evaluation curve: CSV files, and a picture by `python -m training.curve CSV ...`."""

import argparse
import csv
from pathlib import Path

Row = dict[str, float]


class Curve:
    """Appends one row an evaluation."""

    def __init__(self, path: Path) -> None:
        """
        Name the file; earlier rows stay.

        :param path: of the CSV file.
        """
        self.path = path

    def add(self, **values: float) -> None:
        """Append a row; the names become the header of a new file."""
        new = not self.path.exists()
        with self.path.open('a', newline='') as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(values)
            writer.writerow(round(value, 5) for value in values.values())


def read_curves(sources: list[Path]) -> list[Row]:
    """
    Read the parts of a training, one after the other; the samples of a part go on from the last.

    :param sources: the CSV files.
    """
    rows: list[Row] = []
    for source in sources:
        before = rows[-1]['samples'] if rows else 0.0
        with source.open(newline='') as file:
            part = [{name: float(value) for name, value in row.items()}
                    for row in csv.DictReader(file)]
        rows += [row | {'samples': before + row['samples']} for row in part]
    return rows


def plot_curve(sources: list[Path], target: Path) -> None:
    """
    Draw delta1, AbsRel and, where it was measured, the routing over the samples seen.

    :param sources: the CSV files of the training's parts, in order.
    :param target: the PNG file.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    rows = read_curves(sources)
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=100)
    for name, label in (('delta1', 'delta1'), ('abs_rel', 'AbsRel'), ('routed', 'routed right')):
        known = [row for row in rows if name in row]
        if known:
            samples = [row['samples'] / 1000 for row in known]
            axes.plot(samples, [row[name] for row in known], label=label)
    axes.axhline(0.9, color='grey', linestyle=':', linewidth=1)
    axes.axhline(0.1, color='grey', linestyle=':', linewidth=1)
    axes.set(xlabel='training samples, thousands', ylim=(0, 1),
             title='Held-out validation scenes')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(target)


def main() -> None:
    """Draw the parts of a training as one curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sources', type=Path, nargs='+')
    parser.add_argument('--out', type=Path, default=Path('models/demo/training_curve.png'))
    options = parser.parse_args()
    plot_curve(options.sources, options.out)


if __name__ == '__main__':
    main()
