# SPDX-License-Identifier: Apache-2.0
"""What the recorder keeps of a run: the right figures, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.metrics import depth_metrics
from depth_estimation_ros.ros import codec
from depth_estimation_ros.tools.demo_report import accuracy, preview_picture, report
from depth_estimation_ros.tools.received import KEPT, RECENT, DepthRange, Received, matched

RNG = np.random.default_rng(2)


def depth_map(rows: int = 12, columns: int = 16) -> np.ndarray:
    return RNG.uniform(0.5, 8, (rows, columns)).astype(np.float32)


def test_the_range_is_that_of_all_pixels_together():
    maps = [depth_map() for _ in range(30)]
    maps[3][0, 0], maps[4][0, 0], maps[5][0, 0] = np.nan, np.inf, 250.0
    found = DepthRange()
    for one in maps:
        found.add(one)
    pixels = np.concatenate([one[np.isfinite(one)] for one in maps])
    assert found.summary()['min'] == round(float(pixels.min()), 2)
    assert found.summary()['max'] == 250.0
    assert found.summary()['median'] == pytest.approx(float(np.median(pixels)), abs=0.011)


def test_the_range_of_nothing_is_not_a_number():
    found = DepthRange()
    found.add(np.full((2, 2), np.nan, np.float32))
    assert np.isnan(list(found.summary().values())).all()


@pytest.mark.parametrize('first', ['depth', 'truth'])
def test_errors_are_those_of_the_pairs_whichever_comes_first(first):
    received, expected = Received(), []
    for stamp in range(40):
        depth, truth = depth_map(), depth_map()
        expected.append(depth_metrics(depth, truth).abs_rel)
        if first == 'depth':
            received.add_depth(stamp, depth, 30.0)
            received.add_truth(stamp, truth)
        else:
            received.add_truth(stamp, truth)
            received.add_depth(stamp, depth, 30.0)
    assert list(received.errors['abs_rel']) == pytest.approx(expected)
    assert accuracy(received)['abs_rel'] == round(float(np.mean(expected)), 4)
    assert report(received, 41, 4.0)['dropped'] == {'lost_in_transport': 1}
    assert report(received, 41, 4.0)['fps'] == 10.0


def test_what_is_kept_does_not_grow_with_the_run():
    received = Received()
    for stamp in range(3000):
        received.add_image(stamp, f'image {stamp}')
        received.add_depth(stamp, depth_map(2, 2), 30.0)
        if stamp % 2:
            received.add_truth(stamp, depth_map(2, 2))
    assert len(received.moments) <= KEPT
    assert len(received._depths) <= RECENT and len(received._truths) <= RECENT
    kept = sorted(received.moments)
    assert kept[0] < 400 and kept[-1] > 2600 and len(kept) >= KEPT // 2
    assert all(moment.depth is not None for moment in received.moments.values())


def test_an_image_that_comes_after_its_depth_is_drawn_with_it(tmp_path):
    received = Received()
    received.add_truth(5, depth_map())
    received.add_depth(5, depth_map(), 30.0)
    received.add_image(5, codec.encode(np.zeros((48, 64, 3), np.uint8), 'rgb8', None))
    moment = received.moments[5]
    assert moment.depth is not None and moment.truth is not None
    preview_picture(received, tmp_path / 'preview.png')
    assert (tmp_path / 'preview.png').stat().st_size > 1000


def test_ground_truth_of_another_size_is_reported_and_not_compared():
    received = Received()
    received.add_depth(1, depth_map(12, 16), 30.0)
    received.add_truth(1, depth_map(10, 16))
    assert 'not compared' in accuracy(received)['ground_truth']


def test_equal_indices_of_matched_maps_are_equal_pixels():
    whole = np.arange(48 * 64, dtype=np.float32).reshape(48, 64)
    thin, truth = matched(whole[::4, ::4], whole[::2, ::2])
    assert np.array_equal(thin, truth)
