# SPDX-License-Identifier: Apache-2.0
"""The trials of the safety monitor: rates that are counted right, faults by degrees, one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.ros.monitor_checks import CHECKS
from training.monitor import trials as module
from training.monitor.camera import defocused, draw_settings, moved, photograph
from training.monitor.cost import cost
from training.monitor.depths import measured_depths
from training.monitor.faults import covered, with_clock
from training.monitor.rivals import RIVALS, rival_badness
from training.monitor.roc import Roc
from training.monitor.rooms import Radiance, views
from training.monitor.table import draw, limits, lines, rival_lines
from training.monitor.trials import Trials, lasting, look_once, look_twice


@pytest.fixture(scope='module')
def light() -> Radiance:
    return next(views('test', 0, 1, 2))


@pytest.fixture(scope='module')
def trials(light: Radiance) -> Trials:
    made, rng = Trials(), np.random.default_rng(2)
    for _ in range(2):
        look_once(made, light, rng)
        look_twice(made, light, rng)
    module.look_around(made, [light] * 8, rng)
    return made


def test_rates_and_the_area_below_the_curve_are_counted() -> None:
    roc = Roc(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 5.0, 6.0, 7.0]))
    assert roc.auc == (2 + 0.5 + 4 + 4 + 4) / 16
    assert roc.rates(3.0) == (0.75, 0.25) and roc.rates(4.0) == (0.75, 0.0)
    assert (roc.limit(0.0), roc.limit(0.25)) == (4.0, 4.0) and roc.limit(0.5) == 3.0
    false, found = roc.curve()
    assert np.sum(np.diff(false) * (found[1:] + found[:-1]) / 2) == pytest.approx(roc.auc)
    assert (false[0], found[0], false[-1], found[-1]) == (0, 0, 1, 1)


def test_what_cannot_tell_is_never_an_alarm() -> None:
    roc = Roc(np.array([1.0, -np.inf]), np.array([-np.inf, 2.0]))
    assert roc.rates(-100.0) == (0.5, 0.5) and roc.auc == (0.5 + 0 + 1 + 1) / 4


def test_a_share_must_last() -> None:
    assert lasting([0.0] * 3 + [0.5] * 5 + [0.0] * 3) == 0.0
    assert lasting([0.0] * 3 + [0.5] * 5 + [0.4] + [0.0] * 3) == 0.4


def test_every_check_of_the_images_is_tried_and_the_worst_degree_is_found(
        trials: Trials) -> None:
    tried = {check for check, _ in trials.faulty}
    images = {'dark', 'saturated', 'blurred', 'covered', 'frozen'}
    assert tried - set(RIVALS) == images
    assert limits().keys() - images == {'unknown', 'out_of_range', 'floor'}
    last = {check: roc for (check, _), roc in trials.rocs()}
    for check in ('dark', 'saturated', 'frozen'):
        assert last[check].rates(limits()[check]) == (1.0, 0.0), check
    found, false = dict(trials.rocs())['blurred', 'out of focus, 6 px'].rates(limits()['blurred'])
    assert found >= 0.5 and false == 0.0


def test_the_table_has_a_row_a_degree_and_the_picture_a_panel_a_check(
        trials: Trials, tmp_path: Path) -> None:
    rows = list(lines(trials, trials))
    assert len(rows) == 2 + sum(check in CHECKS for check, _ in trials.faulty)
    assert rows[2].startswith('| image dark | mean level 5 | 1.000 | ')
    assert rows[2].endswith(' | 25 | 100% | 0.0% |')
    shown = {check for check, _ in trials.faulty} & CHECKS.keys()
    assert len(shown) == 5 and shown < limits().keys()
    assert all(any(CHECKS[check].name in row for row in rows) for check in shown)
    others = list(rival_lines(trials, trials))
    assert [row.split(' | ')[0][2:] for row in others[2:]] == [
        'edges over their contrast', *RIVALS]
    draw(dict(trials.rocs()), tmp_path / 'roc.png')
    assert (tmp_path / 'roc.png').stat().st_size > 10_000


def test_faults_do_what_they_say(light: Radiance) -> None:
    rng, width = np.random.default_rng(0), light.shape[1]
    edge = np.zeros((240, 320, 3), np.float32)
    edge[:, 160:] = 1
    slope = np.gradient(defocused(edge, 8)[120, :, 0]).max()
    assert slope == pytest.approx(1 / (4 * np.sqrt(2 * np.pi)), rel=0.05)  # 4 of 320 pixels
    path = moved(edge, 20, 0.0)[120, :, 0]
    assert np.count_nonzero((path > 0.02) & (path < 0.98)) == pytest.approx(10, abs=2)
    dim = covered(np.ones_like(light), 0.3, rng)
    assert (dim < 0.75).mean() == pytest.approx(0.3, abs=0.1)
    image = photograph(light, draw_settings(rng))
    assert image.dtype == np.uint8 and image.shape == (240, width, 3)
    assert 0 < (with_clock(image, 1) != with_clock(image, 2)).mean() < 0.005


@pytest.mark.slow
def test_a_scale_that_drifts_is_told_from_one_that_holds(tmp_path: Path) -> None:
    found = measured_depths('test', 2)
    off, drifted = found.healthy['floor'], found.faulty['floor', 'metres times 1.2']
    assert len(off) == len(drifted) > 0 and max(off) < limits()['floor'] < min(drifted)
    assert max(found.healthy['out_of_range']) < min(found.faulty['out_of_range', 'far: 1'])
    rows = list(lines(found, found))
    assert {row.split(' | ')[0] for row in rows[2:]} == {
        '| depth unknown', '| depth out of range', '| floor disagrees'}
    draw(dict(found.rocs()), tmp_path / 'roc.png')


def test_every_rival_sees_blur_where_there_is_no_noise(light: Radiance) -> None:
    camera = draw_settings(np.random.default_rng(0))
    camera = replace(camera, sensor=replace(camera.sensor, noise=0.0))
    sharp, blurred = (rival_badness(photograph(defocused(light, pixels), camera))
                      for pixels in (0, 8))
    assert all(blurred[name] > sharp[name] for name in RIVALS)


def test_plain_walls_have_less_texture() -> None:
    patterned, plain = (next(views('test', index, 1, 4)) for index in (0, 1))
    across = [np.abs(np.diff(light, axis=1)).mean() for light in (patterned, plain)]
    assert across[1] < 0.8 * across[0]


def test_the_cost_names_sizes() -> None:
    assert [line.split(':')[0] for line in cost()] == [
        'a look at 640x480', 'a look at 1280x720', 'a look at 1920x1080']
