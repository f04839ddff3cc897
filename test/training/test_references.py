# SPDX-License-Identifier: Apache-2.0
"""The table of references, with a model whose scale is known."""

from __future__ import annotations

import numpy as np

from training.focal import zoomed
from training.references import LASER_M, SENSORS, View, laser, rows


def test_every_reference_finds_the_scale_that_a_model_has() -> None:
    rooms = [zoomed(index, 1.0) for index in range(2)]
    lines = list(rows([View(seen, 0.8 * seen.depth) for seen in rooms]))[2:]
    found = {name: (taken, error) for name, taken, error, _ in (
        [cell.strip() for cell in line.split('|')[1:-1]] for line in lines)}
    assert found.keys() == {'none', *SENSORS} and found['none'][1] == '0.200'
    for name, (taken, error) in found.items():
        if name != 'none':
            assert abs(float(taken.removeprefix('scale, ')) - 1.25) < 0.01
            assert float(error) < 0.01


def test_a_laser_sees_what_stands_at_its_height() -> None:
    seen = zoomed(1, 1.0)
    known = laser(seen, np.random.default_rng(0))
    assert 0.001 < known.mean() < 0.05
    rows_seen = np.nonzero(known)[0]
    assert rows_seen.min() > seen.camera.intrinsics.cy and LASER_M[1] < seen.camera.position[2]
