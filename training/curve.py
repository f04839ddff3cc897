"""The evaluation curve as a CSV file and a picture."""

import csv
from pathlib import Path


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


def plot_curve(source: Path, target: Path) -> None:
    """
    Draw delta1 and AbsRel over the samples seen.

    :param source: the CSV file.
    :param target: the PNG file.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    with source.open(newline='') as file:
        rows = [{name: float(value) for name, value in row.items()}
                for row in csv.DictReader(file)]
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=100)
    samples = [row['samples'] / 1000 for row in rows]
    axes.plot(samples, [row['delta1'] for row in rows], label='delta1')
    axes.plot(samples, [row['abs_rel'] for row in rows], label='AbsRel')
    axes.axhline(0.9, color='grey', linestyle=':', linewidth=1)
    axes.axhline(0.1, color='grey', linestyle=':', linewidth=1)
    axes.set(xlabel='training samples, thousands', ylim=(0, 1),
             title='Held-out validation scenes')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(target)
