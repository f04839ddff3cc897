# SPDX-License-Identifier: Apache-2.0
"""calibrate by every reference, from bags: the numbers that were injected, or one line, code 1."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_estimation_ros.calibration_file import read_calibration
from depth_estimation_ros.core.mount import optical_in_level
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.rigid import Rigid
from depth_estimation_ros.recordings import find_cameras, open_recording
from depth_estimation_ros.tools import calibrate, evaluate
from depth_estimation_ros.tools.views import recorded_views
from test.core.rendered import box, camera_at, laser_ranges, room, view
from test.core.tags import tag_pose, tag_view
from test.recordings.bags import PERIOD, START, Said, image, info, write_rosbag2
from test.recordings.sensors import cloud, scan, static_transform

IMAGE, TRUTH, MODEL = '/cam/image_raw', '/cam/aligned_depth/image_raw', '/model/depth'
SHAPE = (120, 160)
PITCH = -0.2
COUNT = 8

OPTICAL = (0.1, 0.0, 1.2), optical_in_level(PITCH, 0.0)
"""Where the camera is on the robot, whose base lies on the floor."""
LASER_YAW = 0.3
LASER = (0.25, 0.05, 0.5), (0.0, 0.0, math.sin(LASER_YAW / 2), math.cos(LASER_YAW / 2))
LIDAR = (0.0, -0.1, 1.4), (0.1, 0.2, -0.3, 0.927361849)
ANGLES = np.linspace(-1.5, 1.5, 361)
MOUNTS = {'optical': OPTICAL, 'laser': LASER, 'lidar': LIDAR}
"""Each sensor's frame in the robot's base."""


@dataclass(frozen=True)
class Moment:
    """What a robot sees of a rendered room."""

    depth: np.ndarray  # metres, H×W
    lens: Pinhole
    ranges: np.ndarray  # metres, of the laser


@pytest.fixture(scope='module')
def moments() -> list[Moment]:
    """A drive through a rendered room; depth and ranges are exact."""
    world = room(box(4.0, 2.4, 1.0), box(5.5, 4.0, 0.8, 0.4), box(3.2, 4.6, 1.4, 0.2))
    seen = []
    for number in range(COUNT):
        x, y, yaw = 0.8 + 0.12 * number, 2.0 + 0.2 * number, 0.5 - 0.12 * number
        place = Rigid.from_quaternion((x, y, 0), (0, 0, math.sin(yaw / 2), math.cos(yaw / 2)))
        optical, laser = place(np.array([OPTICAL[0], LASER[0]])).tolist()
        look = view(world, camera_at(*optical, yaw=yaw, pitch=PITCH, size=SHAPE), SHAPE)
        seen.append(Moment(look.depth.numpy(), look.pinhole, laser_ranges(
            world, tuple(laser), yaw + LASER_YAW, torch.from_numpy(ANGLES)).numpy()))
    return seen


def in_optical(name: str) -> Rigid:
    """Return where a sensor lies in the camera's optical frame."""
    return (Rigid.from_quaternion(*OPTICAL).inverse() @ Rigid.from_quaternion(*MOUNTS[name]))


def in_space(moment: Moment, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return some of a moment's pixels as points in the optical frame."""
    v, u = (rng.integers(0, side, count) for side in SHAPE)
    z = moment.depth[v, u]
    return np.stack([(u - moment.lens.cx) / moment.lens.fx * z,
                     (v - moment.lens.cy) / moment.lens.fy * z, z], axis=1)


def wrong(metres: np.ndarray, rng: np.random.Generator, share: float = 0.3) -> np.ndarray:
    """Return distances of which a share is anything."""
    outliers = rng.random(metres.shape) < share
    return np.where(outliers, metres * np.exp(rng.uniform(-1.5, 1.5, metres.shape)), metres)


def calibrated_info(time: int, lens: Pinhole, shape: tuple[int, int]) -> Said:
    said = info(time)
    said.message.height, said.message.width = shape
    said.message.k[:6] = lens.fx, 0, lens.cx, 0, lens.fy, lens.cy
    return said


def camera(number: int, values: np.ndarray, lens: Pinhole, rgb: np.ndarray | None = None,
           ) -> Iterator[Said]:
    """A camera whose model says these values."""
    time = START + number * PERIOD
    grey = np.full((*values.shape, 3), 90, np.uint8) if rgb is None else rgb
    yield image(grey, 'rgb8', time)
    yield calibrated_info(time, lens, values.shape)
    yield image(values.astype(np.float32), '32FC1', time + 1000, topic=MODEL)


MODELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, float, float]] = {
    'scale': (lambda metres: metres / 1.3, 'metres', 1.3, 0.0),
    'affine': (lambda metres: (metres - 0.4) / 1.3, 'metres', 1.3, 0.4),
    'affine_inverse': (lambda metres: 1 / (1.2 / metres + 0.05), 'metres', 1.2, 0.05),
    'inverse': (lambda metres: 6 / metres + 2, 'inverse_depth', 6.0, 2.0),
    'relative': (lambda metres: 300 * metres, 'relative_depth', 1 / 300, 0.0),
}
"""What a model gives of metres, and the correction that undoes it."""


def drive(moments: list[Moment], kind: str, late: int = 0) -> list[Said]:
    """A robot's camera, depth camera, laser and lidar, with 30 % outliers in each."""
    rng, said = np.random.default_rng(4), []
    for number, moment in enumerate(moments):
        time = START + number * PERIOD + late
        said += [*camera(number, MODELS[kind][0](moment.depth), moment.lens),
                 image(wrong(moment.depth, rng).astype(np.float32), '32FC1', time + 5_000_000,
                       topic=TRUTH),
                 scan(wrong(moment.ranges, rng), ANGLES, time + 3_000_000)]
        points = in_space(moment, 300, rng)
        points *= (wrong(points[:, 2], rng) / points[:, 2])[:, None]
        said.append(cloud(in_optical('lidar').inverse()(points), time + 4_000_000))
    said.append(static_transform(START, *(
        ('base', name, *mount) for name, mount in MOUNTS.items())))
    return sorted(said, key=lambda one: one.time)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Calibrate by what a robot recorded; return the code and what was printed."""
    def run(said: list[Said], reference: str, *args: str) -> tuple[int, str]:
        path = tmp_path / 'drive'
        if not path.exists():
            write_rosbag2(path, said)
        code = calibrate.main([
            reference, str(path), '--image', IMAGE, '--prediction', MODEL, '--output',
            str(tmp_path / 'calibration.yaml'), *args])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return run


REFERENCES = {'depth': (), 'scan': ('--topic', '/scan'), 'points': ('--topic', '/points')}


def assert_correction(path: Path, kind: str, rel: float = 0.01) -> None:
    found = read_calibration(path).correction
    _, _, scale, shift = MODELS[kind]
    assert found.kind == kind
    assert (found.scale, found.shift) == pytest.approx((scale, shift), rel=rel, abs=1e-9)


@pytest.mark.parametrize('reference', REFERENCES)
@pytest.mark.parametrize('kind', MODELS)
def test_what_was_injected_is_recovered_among_outliers(tmp_path, run, moments, reference,
                                                       kind) -> None:
    code, printed = run(drive(moments, kind), reference, *REFERENCES[reference], '--quantity',
                        MODELS[kind][1])
    assert code == 0, printed
    assert_correction(tmp_path / 'calibration.yaml', kind)
    evidence = read_calibration(tmp_path / 'calibration.yaml').evidence
    assert evidence['held_out'] and evidence['images_with_reference'] == COUNT
    assert (evidence['before'] is None) is (MODELS[kind][1] != 'metres')
    assert evidence['after']['median'] < 0.02 and f'of {COUNT} images' in printed


def test_what_is_written_makes_evaluate_content(tmp_path, run, moments) -> None:
    assert run(drive(moments, 'inverse'), 'points', *REFERENCES['points'], '--quantity',
               'inverse_depth')[0] == 0
    assert evaluate.main([
        str(tmp_path / 'drive'), '--image', IMAGE, '--depth', TRUTH, '--prediction', MODEL,
        '--calibration', str(tmp_path / 'calibration.yaml'), '--output',
        str(tmp_path / 'output')]) == 0
    report = json.loads((tmp_path / 'output' / 'evaluation.json').read_text())
    assert report['errors']['not_aligned']['pooled']['all']['delta1'] > 0.7


def test_a_transform_may_be_given(tmp_path, run, moments) -> None:
    said = [one for one in drive(moments, 'scale') if one.topic != '/tf_static']
    code, printed = run(said, 'points', *REFERENCES['points'])
    assert code == 1 and '--transform' in printed
    place, turn = in_optical('lidar').translation, in_optical('lidar').rotation
    w = math.sqrt(1 + np.trace(turn)) / 2
    x, y, z = (turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1])
    code, printed = run(said, 'points', *REFERENCES['points'], '--transform', *map(str, (
        *place, x / (4 * w), y / (4 * w), z / (4 * w), w)))
    assert code == 0, printed
    assert_correction(tmp_path / 'calibration.yaml', 'scale')
    code, printed = run(said, 'points', *REFERENCES['points'], '--transform', *'0001111')
    assert code == 1 and 'x y z w, of length 1' in printed


def at(moment: Moment, u: int, v: int, *, straight: bool = False) -> list[str]:
    z = float(moment.depth[v, u])
    ray = math.hypot(1, (u - moment.lens.cx) / moment.lens.fx, (v - moment.lens.cy)
                     / moment.lens.fy)
    return ['--at', str(u), str(v), f'{z * (ray if straight else 1):.4f}']


PLACES = [(30, 110), (150, 5), (80, 100), (20, 60), (140, 80)]


@pytest.mark.parametrize(('kind', 'pixels', 'straight'), [
    ('scale', [(20, 100)], False), ('scale', [(150, 110)], True),
    ('inverse', [(30, 110), (150, 5)], True), ('affine', PLACES, False)])
def test_measured_distances_calibrate_a_camera_that_stands(tmp_path, run, moments, kind, pixels,
                                                           straight) -> None:
    standing = [said for number in range(4)
                for said in camera(number, MODELS[kind][0](moments[0].depth), moments[0].lens)]
    code, printed = run(standing, 'distance', '--quantity', MODELS[kind][1],
                        *(['--straight-line'] if straight else []),
                        *(word for u, v in pixels for word in at(moments[0], u, v,
                                                                 straight=straight)))
    assert code == 0, printed
    assert_correction(tmp_path / 'calibration.yaml', kind)


@pytest.mark.parametrize(('kind', 'count', 'is_said'), [
    ('affine', 4, 'no shift was tried'), ('inverse', 2, 'nothing was held out')])
def test_few_places_are_not_held_out_however_often_they_are_seen(tmp_path, run, moments, kind,
                                                                 count, is_said) -> None:
    """One of them is named twice."""
    standing = [said for number in range(4)
                for said in camera(number, MODELS[kind][0](moments[0].depth), moments[0].lens)]
    code, printed = run(standing, 'distance', '--quantity', MODELS[kind][1], *(
        word for u, v in [*PLACES[:count], PLACES[0]] for word in at(moments[0], u, v)))
    assert code == 0 and is_said in printed, printed
    assert 'the pairs themselves, none could be held out' in printed
    evidence = read_calibration(tmp_path / 'calibration.yaml').evidence
    assert not evidence['held_out'] and evidence['images_with_reference'] == 4


TAG_LENS, TAG_SHAPE, TAG_SIZE = Pinhole(300.0, 302.0, 125.0, 95.0), (180, 240), 0.3


@pytest.fixture(scope='module')
def tag_drive() -> list[Said]:
    """A tag from near to far, and a model whose depth is of kind 'affine'."""
    said: list[Said] = []
    for number, z in enumerate((0.8, 1.0, 1.4, 1.8, 2.2, 2.6)):
        rgb, depth = tag_view(TAG_LENS, TAG_SHAPE, tag_pose(z), TAG_SIZE)
        said += camera(number, MODELS['affine'][0](depth), TAG_LENS, rgb)
    return said


def test_a_tag_calibrates(tmp_path, run, tag_drive) -> None:
    code, printed = run(tag_drive, 'tag', '--size', str(TAG_SIZE))
    assert code == 0, printed
    assert_correction(tmp_path / 'calibration.yaml', 'affine', rel=0.03)
    assert read_calibration(tmp_path / 'calibration.yaml').evidence['images_with_reference'] == 6


def test_a_model_is_run_and_its_head_is_noted(tmp_path, capsys, moments) -> None:
    """The demo model knows nothing of this room, so what it says is the reference too."""
    drive_path, output = tmp_path / 'drive', tmp_path / 'calibration.yaml'
    write_rosbag2(drive_path, drive(moments, 'scale')[:12])
    calibrated = ['distance', str(drive_path), '--image', IMAGE, '--model', 'demo', '--device',
                  'cpu', '--at', '80', '60', '3', '--output', str(output)]
    assert calibrate.main([*calibrated, '--domain', 'nyu']) == 0, capsys.readouterr().err
    assert (read_calibration(output).model, read_calibration(output).domain) == ('demo', 'nyu')
    assert calibrate.main([*calibrated, '--quantity', 'inverse_depth']) == 0
    assert (read_calibration(output).correction.kind, read_calibration(output).domain) == (
        'scale', 'auto')


METRES = MODELS['scale'][0]


def flat(depth: float, truth: np.ndarray, late: int = 0) -> list[Said]:
    lens = Pinhole(130, 130, 79.5, 59.5)
    return sorted([said for number in range(3) for said in (
        *camera(number, np.full(SHAPE, depth), lens),
        image(truth.astype(np.float32), '32FC1', START + number * PERIOD + late,
              topic=TRUTH))], key=lambda one: one.time)


FLAT = np.full(SHAPE, 2.0)


@pytest.mark.parametrize(('depth', 'is_said'), [(2.0, True), (1.8, False)])
def test_a_calibration_that_gains_nothing_is_named(run, depth, is_said) -> None:
    code, printed = run(flat(depth, FLAT), 'depth')
    assert code == 0 and ('nothing is gained' in printed) is is_said


def of_another_sensor(depth: float, fx: float) -> list[Said]:
    """A depth camera beside the image's, whose depth is not registered to the image."""
    said = flat(depth, FLAT)
    for number, one in enumerate(one for one in said if one.topic == TRUTH):
        one.message.header.frame_id = 'depth_optical'
        beside = calibrated_info(START + number * PERIOD, Pinhole(fx, fx, 79.5, 59.5), SHAPE)
        beside.message.header.frame_id = 'depth_optical'
        said.append(beside._replace(topic='/cam/aligned_depth/camera_info'))
    return sorted(said, key=lambda one: one.time)


UNREGISTERED = (f"{TRUTH} is depth in frame 'depth_optical', {IMAGE} an image in 'optical': name "
                'a topic of depth registered to the image')


def test_depth_in_another_frame_is_named(tmp_path, capsys) -> None:
    drive = str(write_rosbag2(tmp_path / 'drive', of_another_sensor(2.0, 131)))
    for main, command in ((evaluate.main, []), (calibrate.main, ['depth'])):
        code = main([*command, drive, '--image', IMAGE, '--depth', TRUTH, '--prediction', MODEL,
                     '--output', str(tmp_path / f'output{len(command)}')])
        printed = capsys.readouterr().err
        assert code == 0 and printed.count(UNREGISTERED) == 1


def test_depth_through_another_lens_is_not_evaluated(tmp_path, capsys) -> None:
    drive = str(write_rosbag2(tmp_path / 'drive', of_another_sensor(2.0, 90)))
    assert evaluate.main([drive, '--image', IMAGE, '--depth', TRUTH, '--prediction', MODEL,
                          '--output', str(tmp_path / 'output')]) == 1
    assert UNREGISTERED in capsys.readouterr().err
    assert not (tmp_path / 'output').exists()


FAULTS: dict[str, tuple[Callable[[list[Moment]], list[Said]], str, tuple[str, ...], str]] = {
    'no overlap in time': (lambda _: flat(2, FLAT, late=10**12), 'depth', (), 'do not overlap'),
    'all-invalid truth': (lambda _: flat(2, 0 * FLAT), 'depth', (), 'too few: 0 pixels'),
    'reference in millimetres': (lambda _: flat(2, 1000 * FLAT), 'depth', (),
                                 'the reference looks like millimetres'),
    'depth in millimetres': (lambda _: flat(2000, FLAT), 'depth', (),
                             'the depth looks like millimetres'),
    'absurd scale': (lambda _: flat(0.05, FLAT), 'depth', (), 'absurd'),
    'another view': (lambda _: flat(2, FLAT[:, :80]), 'depth', (), 'not of one view'),
    'no shift without a range': (lambda _: flat(2, FLAT), 'depth',
                                 ('--quantity', 'inverse_depth'), 'too narrow a range'),
    'no such topic': (lambda _: flat(2, FLAT), 'depth', ('--depth', '/none'), 'no topic /none'),
    'the model itself': (lambda _: flat(2, FLAT), 'depth', ('--depth', MODEL),
                         'is the reference'),
    'not a scan': (lambda _: flat(2, FLAT), 'scan', ('--topic', TRUTH),
                   'no topic /cam/aligned_depth/image_raw of type sensor_msgs/msg/LaserScan'),
    'a scan late': (lambda seen: drive(seen, 'scale', late=10**12), 'scan', REFERENCES['scan'],
                    'do not overlap'),
    'a transform that points up': (lambda seen: drive(seen, 'scale'), 'scan', (
        *REFERENCES['scan'], '--transform', '0', '0', '0', '0', '0', '0', '1'),
        'too few: 0 pixels'),
    'a distance in millimetres': (lambda _: flat(2, FLAT), 'distance',
                                  ('--at', '9', '9', '1500'), 'looks like millimetres'),
    'a distance of nothing': (lambda _: flat(2, FLAT), 'distance', ('--at', '9', '9', '0'),
                              'is no distance'),
    'a distance outside': (lambda _: flat(2, FLAT), 'distance', ('--at', '160', '9', '1'),
                           'outside the 160x120'),
    'no camera_info': (lambda _: [one for one in flat(2, FLAT) if 'info' not in one.topic],
                       'depth', (), '--focal'),
    'no tag': (lambda _: flat(2, FLAT), 'tag', ('--size', '0.2'), 'no tag of family 36h11'),
    'a tag without depth of its time': (
        lambda _: [one if one.topic == IMAGE else image(
            FLAT.astype(np.float32), '32FC1', one.time + 10**10, topic=MODEL)
            for one in flat(2, FLAT) if one.topic in (IMAGE, MODEL)], 'tag', ('--size', '0.2'),
        f'{IMAGE} and {MODEL} do not overlap: no image that can be read has depth with a stamp '
        'within 20 ms (--slop)'),
    'depth through another lens': (lambda _: of_another_sensor(2, 90), 'depth',
                                   ('--depth', TRUTH), UNREGISTERED),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_one_line_and_nothing_is_written(tmp_path, run, moments, fault) -> None:
    said, reference, args, named = FAULTS[fault]
    code, printed = run(said(moments), reference, *args)
    assert code == 1
    lines = [line for line in printed.splitlines() if line.startswith('calibrate: ')]
    assert lines == printed.splitlines()[-1:] and named in lines[0]
    assert not (tmp_path / 'calibration.yaml').exists()


@pytest.mark.skipif('DEPTH_TEST_RECORDING' not in os.environ,
                    reason='DEPTH_TEST_RECORDING names no recording of images and their depth')
@pytest.mark.parametrize('kind', MODELS)
def test_a_real_depth_camera_calibrates(tmp_path, run, kind) -> None:
    """What was injected into a depth camera's own depth is recovered, with its real noise."""
    recording = open_recording(os.environ['DEPTH_TEST_RECORDING'])
    rng, said = np.random.default_rng(6), list[Said]()
    for number, seen in enumerate(recorded_views(recording, find_cameras(recording)[0])):
        if seen.truth is None or number >= COUNT:
            continue
        said += [*camera(number, MODELS[kind][0](seen.truth), Pinhole(525, 525, 320, 240)),
                 image(wrong(seen.truth, rng).astype(np.float32), '32FC1',
                       START + number * PERIOD, topic=TRUTH)]
    code, printed = run(sorted(said, key=lambda one: one.time), 'depth', '--quantity',
                        MODELS[kind][1])
    assert code == 0, printed
    assert_correction(tmp_path / 'calibration.yaml', kind)
