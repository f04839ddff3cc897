# SPDX-License-Identifier: Apache-2.0
"""What the object rows count, on pixels worked out by hand."""

import math

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('transformers')

from training.evaluate import routing_lines
from training.objects import ObjectErrors, object_table


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_shares_of_pixels() -> None:
    errors = ObjectErrors('model')
    # the first four are objects: 1 m before the wall, twice 0.5 m, 3 m; the rest is room
    errors.add(depth=row(2.0, 3.9, 3.4, 5.0, 4.3, 4.6),
               truth=row(2.1, 3.5, 3.5, 2.0, 4.0, 4.0),
               background=row(3.1, 4.0, 4.0, 5.0, 4.2, 4.0))
    assert errors.share('objects', 'all') == pytest.approx(4 / 6)
    assert errors.share('objects 10', 'objects') == pytest.approx(2 / 4)
    assert errors.share('objects 25', 'objects') == pytest.approx(3 / 4)
    assert errors.share('nearer', 'objects') == pytest.approx(2 / 4)
    assert errors.share('near nearer', 'near objects') == pytest.approx(1 / 2)
    assert errors.share('others 10', 'others') == pytest.approx(1 / 2)


def test_a_gap_below_the_limit_is_no_object() -> None:
    errors = ObjectErrors('model')
    errors.add(row(3.0, 3.0), row(3.71, 3.69), row(4.0, 4.0))
    assert errors.pixels['objects'] == 1


def test_pixels_of_all_scenes_count_together() -> None:
    errors = ObjectErrors('model')
    errors.add(row(1.0), row(1.0), row(2.0))
    errors.add(row(2.0, 2.0, 2.0), row(1.0, 1.0, 1.0), row(2.0, 2.0, 2.0))
    assert errors.share('nearer', 'objects') == pytest.approx(1 / 4)


def test_the_table_has_a_row_a_predictor() -> None:
    none, some = ObjectErrors('none'), ObjectErrors('some')
    some.add(row(1.0, 4.0), row(1.0, 4.0), row(2.0, 4.0))
    assert math.isnan(none.share('nearer', 'objects'))
    header, _, first, second = object_table([none, some]).splitlines()
    assert header.count('|') == first.count('|') == second.count('|')
    assert second == '| some | 0.500 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 |'


def test_routing_tells_rooms_from_corridors() -> None:
    text = routing_lines(['nyu', 'nyu', 'kitti', 'kitti', 'nyu', 'nyu', 'nyu', 'nyu'])
    assert text.endswith('75.0% of all scenes, 83.3% of rooms, 50.0% of corridors')
