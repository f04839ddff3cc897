# SPDX-License-Identifier: Apache-2.0
"""evaluate and calibrate on recordings and folders: right figures, or one line and code 1."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_estimation_ros.calibration_file import read_calibration
from depth_estimation_ros.tools import calibrate, evaluate
from test.core.test_floor import LENS, PITCH, floor_map, wall
from test.recordings.bags import PERIOD, START, Said, image, info, write_rosbag2

RNG = np.random.default_rng(11)
TRUTH, PREDICTION = '/cam/aligned_depth/image_raw', '/model/depth'
CAMERA_HEIGHT = 1.2
SIZE = (120, 160)
OUTPUTS = ['evaluation.json', 'evaluation.png']


def said(depth: np.ndarray, truth: np.ndarray, count: int = 6, late: int = 0,
         encoding: str = '32FC1') -> list[Said]:
    """A camera whose model says one thing and whose depth camera another."""
    messages = []
    for number in range(count):
        time = START + number * PERIOD
        calibration = info(time)
        calibration.message.width, calibration.message.height = SIZE[::-1]
        calibration.message.k[:6] = LENS.fx, 0, LENS.cx, 0, LENS.fy, LENS.cy
        messages += [
            image(RNG.integers(0, 256, (*SIZE, 3), np.uint8), 'bgr8', time), calibration,
            image(depth.astype(np.float32), '32FC1', time + 1000, topic=PREDICTION),
            image(truth, encoding, time + late + 5_000_000, topic=TRUTH)]
    return sorted(messages, key=lambda one: one.time)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run evaluate on what a camera said; return its code and what it printed."""
    def run(messages: list[Said], *args: str) -> tuple[int, str]:
        drive = write_rosbag2(tmp_path / 'drive', messages)
        code = evaluate.main([str(drive), '--image', '/cam/image_raw', '--depth', TRUTH,
                              '--output', str(tmp_path / 'output'), *args])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return run


TOPIC = '--prediction', PREDICTION


def figures(tmp_path: Path) -> dict:
    return json.loads((tmp_path / 'output' / 'evaluation.json').read_text())


def test_a_recorded_prediction_is_compared_by_stamp(tmp_path, run) -> None:
    truth = np.round(1000 * np.minimum(floor_map(), 9)).astype(np.uint16)
    code, printed = run(said(1.1 * truth / 1000, truth, encoding='16UC1'), *TOPIC)
    assert code == 0, printed
    report = figures(tmp_path)
    assert (report['images'], report['images_without_truth'], report['coverage']) == (6, 0, 1.0)
    for how in ('per_image', 'pooled'):
        whole = report['errors']['not_aligned'][how]['all']
        assert whole['abs_rel'] == pytest.approx(0.1, abs=1e-5)
        assert whole['silog'] == pytest.approx(0, abs=1e-3) and whole['delta1'] == 1
        assert report['errors']['median_aligned'][how]['all']['abs_rel'] < 1e-5
    assert report['errors']['not_aligned']['pooled']['64 m on']['abs_rel'] is None
    assert 'AbsRel' in printed and 'mean over images' in printed
    assert sorted(file.name for file in (tmp_path / 'output').iterdir()) == OUTPUTS
    assert cv2.imread(str(tmp_path / 'output' / 'evaluation.png')) is not None


MASK = '/cam/objects'


def masks(encoding: str, late: int = 0, count: int = 6) -> tuple[list[Said], np.ndarray]:
    """A camera whose model is 20 % off where objects are, and masks of them at half the size."""
    truth = np.minimum(floor_map(), 9).astype(np.float32)
    objects = np.zeros((SIZE[0] // 2, SIZE[1] // 2), np.uint16)
    objects[20:40, 10:30] = 7
    whole = np.kron(objects, np.ones((2, 2), np.uint16)) > 0
    messages = said(np.where(whole, 1.2 * truth, truth), truth)
    pixels = np.dstack([objects] * 3).astype(np.uint8) if encoding == 'bgr8' else objects.astype(
        np.uint8 if encoding == 'mono8' else np.uint16)
    messages += [image(pixels, encoding, START + number * PERIOD + late, topic=MASK)
                 for number in range(count)]
    return sorted(messages, key=lambda one: one.time), whole


@pytest.mark.parametrize('encoding', ['mono8', '16UC1', 'bgr8'])
def test_objects_and_background_are_told_apart(tmp_path, run, encoding) -> None:
    messages, whole = masks(encoding)
    code, printed = run(messages, *TOPIC, '--mask', MASK, '--html', str(tmp_path / 'a.html'))
    assert code == 0, printed
    assert 'a mask of 80x60 is resized' in printed
    groups = figures(tmp_path)['errors']['not_aligned']['pooled']
    assert groups['objects']['abs_rel'] == pytest.approx(0.2, abs=1e-5)
    assert groups['background']['abs_rel'] == pytest.approx(0, abs=1e-5)
    assert groups['objects']['pixels'] == 6 * np.count_nonzero(whole & np.isfinite(floor_map()))
    assert groups['objects']['pixels'] + groups['background']['pixels'] == groups['all']['pixels']
    assert 'AbsRel of objects and background' in (tmp_path / 'a.html').read_text()


def test_masks_that_do_not_belong_are_named(tmp_path, run) -> None:
    code, printed = run(masks('mono8', late=10**9, count=2)[0], *TOPIC, '--mask', MASK)
    assert code == 1 and f'{MASK} has a mask for none of 6 images' in printed
    assert not (tmp_path / 'output').exists()


def test_a_mask_topic_that_is_not_there_is_named(run) -> None:
    code, printed = run(masks('mono8')[0], *TOPIC, '--mask', '/nowhere')
    assert code == 1 and 'has no topic /nowhere; it has' in printed and MASK in printed


def test_masks_may_lie_in_a_folder(tmp_path, capsys) -> None:
    truth = np.minimum(np.nan_to_num(floor_map(), nan=5), 9).astype(np.float32)
    objects = np.zeros(SIZE, np.uint8)
    objects[40:80, 20:60] = 255
    for name in 'images', 'truth', 'masks':
        (tmp_path / name).mkdir()
    for number in range(3):
        np.save(tmp_path / 'images' / f'{number}.npy', np.where(objects > 0, 0.5 * truth, truth))
        cv2.imwrite(str(tmp_path / 'truth' / f'd_{number}.png'),
                    np.round(1000 * truth).astype(np.uint16))
        if number:
            cv2.imwrite(str(tmp_path / 'masks' / f'm_{number}.png'), objects)
    folder = str(tmp_path / 'images')
    assert evaluate.main([folder, '--prediction', folder, '--depth', str(tmp_path / 'truth'),
                          '--convention', 'nyu', '--mask', str(tmp_path / 'masks'),
                          '--output', str(tmp_path / 'output')]) == 0, capsys.readouterr().err
    groups = figures(tmp_path)['errors']['not_aligned']['pooled']
    assert groups['objects']['abs_rel'] == pytest.approx(0.5, abs=1e-3)
    assert groups['objects']['pixels'] == 2 * np.count_nonzero(objects)


def test_options_reach_the_protocol(tmp_path, run) -> None:
    truth = floor_map().astype(np.float32)
    code, printed = run(said(truth, truth), *TOPIC, '--crop', 'garg', '--near', '0.5', '--far',
                        '4', '--pooled', '--frames', '2')
    assert code == 0, printed
    report = figures(tmp_path)
    assert report['images'] == 2
    assert report['protocol'] == {'crop': 'garg', 'near': 0.5, 'far': 4.0,
                                  'order': 'crop, align, clamp'}
    assert 'crop garg, not aligned, cap 0.5 to 4 m; pixels of all images pooled' in printed


def test_a_model_is_run_where_no_prediction_is_named(tmp_path, run, checkpoint) -> None:
    truth = floor_map().astype(np.float32)[::2, ::2].copy()
    code, printed = run(said(truth, truth), '--model', str(checkpoint), '--device', 'cpu')
    assert code == 0, printed
    assert 'depth of 160x120 is resized to the 80x60 of the truth' in printed
    assert figures(tmp_path)['model'] == str(checkpoint)


def test_broken_truth_is_named_and_the_rest_compared(tmp_path, run) -> None:
    messages = said(FLAT, FLAT)
    next(one for one in messages if one.topic == TRUTH).message.step = 3
    code, printed = run(messages, *TOPIC)
    assert code == 0, printed
    assert (figures(tmp_path)['images'], figures(tmp_path)['images_without_truth']) == (5, 1)


def test_truth_that_begins_late_is_drawn_and_compared(tmp_path, run) -> None:
    """The images at 1, 2 and 4, powers of two, have no truth that is known."""
    messages = said(FLAT, FLAT, count=5)
    for number, one in enumerate(one for one in messages if one.topic == TRUTH):
        if number != 4:
            one.message.data = np.full(SIZE, np.nan, np.float32).view(np.uint8).ravel()
    code, printed = run(messages, *TOPIC)
    assert code == 0, printed
    assert figures(tmp_path)['errors']['not_aligned']['pooled']['all']['pixels'] == FLAT.size


def test_a_prediction_is_resized_by_the_middle_of_each_cell(tmp_path, run) -> None:
    """Columns of three that are only right in their middle."""
    columns = np.where(np.arange(SIZE[1] // 3 * 3) % 3 == 1, 2.0, 6.0)
    depth = np.tile(columns.astype(np.float32), (SIZE[0], 1))
    code, printed = run(said(depth, np.full((40, 53), 2.0, np.float32)), *TOPIC)
    assert code == 0, printed
    assert 'is resized to the 53x40' in printed
    assert figures(tmp_path)['errors']['not_aligned']['pooled']['all']['abs_rel'] == 0


FLAT = np.full(SIZE, 2.0, np.float32)
FAULTS: dict[str, tuple[list[Said], tuple[str, ...], str]] = {
    'no overlap in time': (said(FLAT, FLAT, late=10**12), TOPIC, 'do not overlap'),
    'all-invalid truth': (said(FLAT, 0 * FLAT), TOPIC, 'no valid pixel'),
    'no prediction': (said(np.nan * FLAT, FLAT), TOPIC, 'no valid pixel'),
    'truth in millimetres': (said(FLAT, 1000 * FLAT), TOPIC, 'truth looks like millimetres'),
    'prediction in millimetres': (said(1000 * FLAT, FLAT), TOPIC,
                                  'prediction looks like millimetres'),
    'another view': (said(FLAT, FLAT[:, :60].copy()), TOPIC, 'not of one view'),
    'no such prediction': (said(FLAT, FLAT), ('--prediction', '/none'), 'no topic /none'),
    'the truth itself': (said(FLAT, FLAT), ('--prediction', TRUTH), 'is the truth'),
    'no such truth': (said(FLAT, FLAT), (*TOPIC, '--depth', '/none'), 'no topic /none'),
    'no such model': (said(FLAT, FLAT), ('--model', '/none', '--device', 'cpu'), '/none'),
    'no calibration': (said(FLAT, FLAT), (*TOPIC, '--calibration', '/none.yaml'), '/none.yaml'),
    'caps leave nothing': (said(FLAT, FLAT), (*TOPIC, '--far', '1'), 'no valid pixel'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_one_line_and_nothing_is_written(tmp_path, run, fault) -> None:
    messages, args, named = FAULTS[fault]
    code, printed = run(messages, *args)
    assert code == 1
    lines = [line for line in printed.splitlines() if line.startswith('evaluate: ')]
    assert lines == printed.splitlines()[-1:] and named in lines[0]
    assert not (tmp_path / 'output').exists()


@pytest.mark.parametrize(('convention', 'per_metre', 'image_name', 'truth_name'), [
    ('nyu', 1000, 'rgb_{:05d}.png', 'sync_depth_{:05d}.png'),
    ('kitti', 256, '2011_09_26_drive_0002_sync_image_{:010d}_image_02.png',
     '2011_09_26_drive_0002_sync_groundtruth_depth_{:010d}_image_02.png'),
    ('tum', 5000, '13050312{:02d}.100000.png', '13050312{:02d}.115000.png'),
])
def test_folders_follow_their_benchmarks(tmp_path, capsys, convention, per_metre, image_name,
                                         truth_name) -> None:
    depth, truth = tmp_path / 'predicted', tmp_path / 'truth'
    depth.mkdir()
    truth.mkdir()
    for number in range(3, 6):
        stored = np.full(SIZE, 2 * per_metre, np.uint16)
        stored[:60] = 0
        cv2.imwrite(str(truth / truth_name.format(number)), stored)
        name = depth / image_name.format(number)
        cv2.imwrite(str(name), np.full(SIZE, 3 * per_metre, np.uint16))
    cv2.imwrite(str(depth / image_name.format(9)), np.full(SIZE, per_metre, np.uint16))
    args = [str(depth), '--depth', str(truth), '--prediction', str(depth), '--convention',
            convention, '--output', str(tmp_path / 'output')]
    assert evaluate.main(args) == 0, capsys.readouterr().err
    report = figures(tmp_path)
    assert (report['images'], report['images_without_truth']) == (3, 1)
    assert '3 images with truth, 1 without' in capsys.readouterr().out
    whole = report['errors']['not_aligned']['pooled']['all']
    assert (whole['abs_rel'], whole['pixels']) == (pytest.approx(0.5), 3 * 60 * 160)


def test_folders_that_do_not_match_are_named(tmp_path, capsys) -> None:
    for folder, name in (('rgb', 'rgb_1.png'), ('depth', 'depth_2.png')):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / name), np.full(SIZE, 1000, np.uint16))
    args = [str(tmp_path / 'rgb'), '--depth', str(tmp_path / 'depth')]
    assert evaluate.main(args) == 1
    assert '--convention' in capsys.readouterr().err
    assert evaluate.main([*args, '--convention', 'nyu']) == 1
    assert 'none of 1 images has truth with the same numbers' in capsys.readouterr().err
    assert evaluate.main([*args, '--convention', 'tum']) == 1
    assert 'named by a time' in capsys.readouterr().err


def test_a_calibration_of_another_size_is_refused_without_camera_info(tmp_path, capsys) -> None:
    code, output, drive = calibrated(tmp_path, 0.7 * floor_map())
    assert code == 0 and drive.exists()
    for size in (SIZE, (60, 80)):
        folder = tmp_path / str(size[0])
        folder.mkdir()
        np.save(folder / '1.npy', np.full(size, 2.0, np.float32))
    capsys.readouterr()
    for rows, code, printed in ((120, 0, ''), (60, 1, 'of images of 160x120, not 80x60')):
        folder = str(tmp_path / str(rows))
        assert evaluate.main([folder, '--depth', folder, '--convention', 'nyu', '--prediction',
                              folder, '--model', PREDICTION, '--calibration', str(output),
                              '--output', str(tmp_path / 'output')]) == code
        assert printed in capsys.readouterr().err


def calibrated(tmp_path: Path, depth: np.ndarray, *args: str) -> tuple[int, Path, Path]:
    drive = write_rosbag2(tmp_path / 'drive', said(depth, floor_map().astype(np.float32)))
    output = tmp_path / 'calibration.yaml'
    return calibrate.main(['floor', str(drive), '--camera-height', str(CAMERA_HEIGHT), '--image',
                           '/cam/image_raw', '--prediction', PREDICTION, '--output', str(output),
                           *args]), output, drive


@pytest.mark.parametrize(('depth', 'args', 'scale', 'shift'), [
    (0.7 * floor_map(), (), 1 / 0.7, 0.0),
    (6 / floor_map() + 2, ('--quantity', 'inverse_depth', '--pitch', str(-PITCH)), 6.0, 2.0),
    (300 * floor_map(), ('--quantity', 'relative_depth'), 1 / 300, 0.0),
], ids=['metres', 'inverse depth', 'relative depth'])
def test_the_floor_makes_a_model_metric(tmp_path, capsys, depth, args, scale, shift) -> None:
    code, output, drive = calibrated(tmp_path, depth, *args)
    assert code == 0, capsys.readouterr().err
    file = read_calibration(output)
    found = file.correction
    assert (found.scale, found.shift) == pytest.approx((scale, shift), rel=2e-3)
    assert (file.model, file.camera.width, file.camera.height) == (PREDICTION, 160, 120)
    assert file.evidence['images_with_floor'] == 6
    assert evaluate.main([str(drive), '--image', '/cam/image_raw', '--depth', TRUTH, *TOPIC,
                          '--calibration', str(output), '--output', str(tmp_path / 'output')]) == 0
    assert figures(tmp_path)['errors']['not_aligned']['pooled']['all']['abs_rel'] < 0.005


def test_time_and_memory_are_told_where_they_are_asked_for(tmp_path, capsys) -> None:
    code, _, _ = calibrated(tmp_path, floor_map(), '--stats')
    assert code == 0 and re.search(r'frames/s, peak memory \d+ MB', capsys.readouterr().out)


def test_a_recorded_depth_calibrates_the_model_that_made_it(tmp_path) -> None:
    code, output, drive = calibrated(tmp_path, 0.7 * floor_map(), '--model', 'lab/model')
    assert code == 0 and read_calibration(output).model == 'lab/model'
    given = [str(drive), '--image', '/cam/image_raw', '--depth', TRUTH, *TOPIC, '--calibration',
             str(output), '--output', str(tmp_path / 'output')]
    assert evaluate.main([*given, '--model', 'lab/model']) == 0
    assert evaluate.main([*given, '--model', 'lab/other']) == 1


@pytest.mark.parametrize(('depth', 'args', 'named'), [
    (wall(), (), 'not enough floor'),
    (floor_map(PITCH + 0.15), ('--pitch', str(-PITCH)), 'tilt'),
    (floor_map(), ('--quantity', 'inverse_depth'), '--pitch'), (1000 * floor_map(), (), 'absurd'),
], ids=['wall', 'ramp', 'no pitch', 'millimetres'])
def test_without_a_floor_there_is_no_calibration(tmp_path, capsys, depth, args, named) -> None:
    code, output, _ = calibrated(tmp_path, depth, *args)
    errors = capsys.readouterr().err.splitlines()
    assert code == 1 and len([line for line in errors if line.startswith('calibrate: ')]) == 1
    assert named in errors[-1] and not output.exists()


@pytest.mark.skipif('DEPTH_TEST_RECORDING' not in os.environ,
                    reason='DEPTH_TEST_RECORDING names no recording of images and their depth')
def test_a_camera_of_your_own_is_evaluated(tmp_path, capsys) -> None:
    code = evaluate.main([os.environ['DEPTH_TEST_RECORDING'], '--frames', '3', '--device', 'cpu',
                          '--output', str(tmp_path / 'output')])
    assert code == 0, capsys.readouterr().err
    report = figures(tmp_path)
    assert report['images'] == 3 and 0 < report['median_ratio'] < 100
