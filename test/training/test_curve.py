# SPDX-License-Identifier: Apache-2.0
"""The evaluation curve, over the parts of a training."""

from pathlib import Path

import pytest

pytest.importorskip('matplotlib')

from training.curve import Curve, plot_curve, read_curves


def write(path: Path, **columns: list[float]) -> Path:
    curve = Curve(path)
    for values in zip(*columns.values()):
        curve.add(**dict(zip(columns, values)))
    return path


def test_the_samples_of_a_part_go_on_from_the_last(tmp_path: Path) -> None:
    first = write(tmp_path / '0.csv', samples=[10, 20], delta1=[0.1, 0.2])
    second = write(tmp_path / '1.csv', samples=[5], delta1=[0.3])
    assert [row['samples'] for row in read_curves([first, second])] == [10, 20, 25]


def test_parts_without_routing_are_drawn_all_the_same(tmp_path: Path) -> None:
    errors: dict[str, list[float]] = {
        'samples': [10, 20], 'delta1': [0.5, 0.6], 'abs_rel': [0.3, 0.2]}
    old = write(tmp_path / '0.csv', **errors)
    new = write(tmp_path / '1.csv', **errors, routed=[0.75, 0.8])
    for sources in ([old], [old, new]):
        target = tmp_path / f'{len(sources)}.png'
        plot_curve(sources, target)
        assert target.read_bytes().startswith(b'\x89PNG')
