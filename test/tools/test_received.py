# SPDX-License-Identifier: Apache-2.0
"""What the recorder keeps of a run: the right figures, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

from depth_estimation_ros.core.evaluation.metrics import depth_metrics
from depth_estimation_ros.tools.demo_report import accuracy, print_report, report
from depth_estimation_ros.tools.received import KEPT, PARTS, RECENT, DepthRange, Received, matched

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
        received.add_part('scan', stamp, f'scan {stamp}')
        if stamp % 2:
            received.add_truth(stamp, depth_map(2, 2))
    assert len(received.moments) <= KEPT
    assert all(len(received._recent[part]) <= RECENT for part in PARTS)
    kept = sorted(received.moments)
    assert kept[0] < 400 and kept[-1] > 2600 and len(kept) >= KEPT // 2
    assert all(moment.depth is not None and moment.scan == f'scan {stamp}'
               for stamp, moment in received.moments.items())


@pytest.mark.parametrize('image_first', [True, False])
def test_a_moment_has_what_bears_its_stamp_whichever_comes_first(image_first):
    received = Received()
    if image_first:
        received.add_image(5, 'image')
    for stamp in (4, 5, 6):
        received.add_truth(stamp, depth_map())
        received.add_depth(stamp, depth_map(), 30.0)
        for part in ('info', 'points', 'scan'):
            received.add_part(part, stamp, f'{part} {stamp}')
    if not image_first:
        received.add_image(5, 'image')
    moment, = received.moments.values()
    assert moment.parts == len(PARTS)
    assert (moment.info, moment.points, moment.scan) == ('info 5', 'points 5', 'scan 5')


def test_the_report_has_each_outputs_rate_or_why_it_is_silent():
    received = Received()
    for _ in range(30):
        received.count('depth/scan', 4000)
    outputs = report(received, 30, 2.0, {
        'depth/scan': '', 'depth/preview': '', 'depth/points': 'no calibration'})['outputs']
    assert outputs == {
        'depth/scan': {'messages': 30, 'hz': 15.0, 'mb_s': 0.06},
        'depth/preview': {'messages': 0, 'hz': 0.0, 'mb_s': 0.0},
        'depth/points': {'messages': 0, 'hz': 0.0, 'mb_s': 0.0,
                         'silent_because': 'no calibration'}}


def test_the_tables_name_each_output_with_its_rate_or_none(capsys):
    received = Received()
    received.count('depth/scan', 4000)
    print_report(report(received, 1, 1.0, {
        'depth/scan': '', 'depth/preview': '', 'depth/points': 'no calibration'}))
    rows = {line.split('│')[1].strip(): [cell.strip() for cell in line.split('│')[2:-1]]
            for line in capsys.readouterr().out.splitlines() if line.startswith('│')}
    assert rows['depth/scan'] == ['1', '1.0', '0.004']
    assert rows['depth/preview'][0] == 'none: nothing came'
    assert rows['depth/points'][0] == 'none: no calibration'
    assert 'outputs' not in rows and rows['frames_in'] == ['1']


def test_ground_truth_of_another_size_is_reported_and_not_compared():
    received = Received()
    received.add_depth(1, depth_map(12, 16), 30.0)
    received.add_truth(1, depth_map(10, 16))
    assert 'not compared' in accuracy(received)['ground_truth']


def test_equal_indices_of_matched_maps_are_equal_pixels():
    whole = np.arange(48 * 64, dtype=np.float32).reshape(48, 64)
    thin, truth = matched(whole[::4, ::4], whole[::2, ::2])
    assert np.array_equal(thin, truth)
