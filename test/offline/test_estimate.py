# SPDX-License-Identifier: Apache-2.0
"""Files of depth, read back by other libraries, and made again only where they are missing."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData
from pypcd4 import PointCloud

from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.offline import estimate as module
from depth_estimation_ros.offline import formats as formats_module
from depth_estimation_ros.offline.cloud import pcd, pinhole_of_view, ply
from depth_estimation_ros.offline.files import write_whole
from depth_estimation_ros.offline.formats import FORMATS, quantised
from depth_estimation_ros.offline.job import JOB
from depth_estimation_ros.offline.video import VideoWriter
from depth_estimation_ros.recordings import RecordingError, metres, open_recording

from ..recordings.bags import PERIOD, START, image, info
from .conftest import SHAPE, frames

NUMBERS = np.array([[0.5, 1.2345, 70.0], [np.nan, np.inf, -np.inf]], np.float32)


def pictures(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(count):
        cv2.imwrite(str(folder / f'room_{number}.png'), rng.integers(0, 256, SHAPE, np.uint8))
    return folder


def test_every_format_holds_the_same_depth(tmp_path, bag, process, estimated):
    source = bag(frames(2))
    formats = tuple(kind for kind in FORMATS if kind != 'exr' or find_spec('OpenEXR'))
    estimated(source, tmp_path / 'out', formats=formats, preview=True)
    process(source, tmp_path / 'bag')
    for number, record in enumerate(open_recording(tmp_path / 'bag').records(
            ['/cam/depth/image_rect'])):
        depth = metres(record.message)

        def path(kind: str, number: int = number) -> str:
            return str(tmp_path / 'out' / kind / f'{number:06d}{FORMATS[kind][0]}')

        np.testing.assert_array_equal(np.load(path('npy')), depth)
        np.testing.assert_array_equal(np.load(path('npz'))['depth'], depth)
        np.testing.assert_array_equal(cv2.imread(path('pfm'), cv2.IMREAD_UNCHANGED), depth)
        if 'exr' in formats:
            from OpenImageIO import ImageInput
            channel = ImageInput.open(path('exr'))
            assert channel is not None
            assert channel.spec().channelnames == ('Z',)
            np.testing.assert_array_equal(np.asarray(channel.read_image('float'))[..., 0], depth)
        whole = np.where(np.isfinite(depth), depth, 0)
        for kind, steps in (('png', 1000), ('kitti', 256)):
            np.testing.assert_array_equal(np.asarray(Image.open(path(kind))),
                                          np.rint(whole * steps))
        assert Image.open(tmp_path / 'out' / 'preview' / f'{number:06d}.png').size == (
            SHAPE[1], SHAPE[0])


def test_what_is_unknown_or_out_of_range_is_no_number():
    assert quantised(NUMBERS, 1000).tolist() == [[500, 1234, 0], [0, 0, 0]]
    assert quantised(NUMBERS, 256).tolist() == [[128, 316, 17920], [0, 0, 0]]


@pytest.mark.skipif(find_spec('OpenEXR') is None, reason='this Python has no OpenEXR')
def test_exr_keeps_what_is_no_distance():
    import OpenEXR
    stream = io.BytesIO(FORMATS['exr'][1](NUMBERS))
    np.testing.assert_array_equal(OpenEXR.File(stream).channels()['Z'].pixels, NUMBERS)


def test_a_kind_that_needs_what_is_not_installed_is_refused_before_any_work(
        tmp_path, monkeypatch, estimated):
    monkeypatch.setattr(formats_module, 'find_spec', lambda name: None)
    with pytest.raises(RecordingError, match='pip install OpenEXR'):
        estimated(pictures(tmp_path / 'in', 1), tmp_path / 'out', formats=('exr',))
    assert not (tmp_path / 'out').exists()


def test_points_lie_where_the_pinhole_says(tmp_path):
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    (tmp_path / 'cloud.ply').write_bytes(ply(NUMBERS, rgb, Pinhole(2.0, 4.0, 1.0, 0.5)))
    points = PlyData.read(tmp_path / 'cloud.ply')['vertex'].data
    assert len(points) == 3
    np.testing.assert_allclose(np.stack([points[axis] for axis in 'xyz'], 1), [
        [-0.25, -0.0625, 0.5], [0.0, -1.2345 / 8, 1.2345], [35.0, -8.75, 70.0]], rtol=1e-6)
    assert points['red'].tolist() == [0, 3, 6] and points['blue'].tolist() == [2, 5, 8]
    (tmp_path / 'cloud.pcd').write_bytes(pcd(NUMBERS, rgb, Pinhole(2.0, 4.0, 1.0, 0.5)))
    read = PointCloud.from_path(tmp_path / 'cloud.pcd')
    assert read.fields == ('x', 'y', 'z', 'rgb')
    np.testing.assert_array_equal(read.numpy(('x', 'y', 'z')),
                                  np.stack([points[axis] for axis in 'xyz'], 1))
    colours = PointCloud.decode_rgb(read.numpy(('rgb',)))
    np.testing.assert_array_equal(colours, rgb[0])
    assert pinhole_of_view(90.0, (640, 480)).fx == pytest.approx(320.0)


def test_a_cloud_takes_the_cameras_calibration_or_an_angle(tmp_path, bag, estimated):
    estimated(bag(frames(1)), tmp_path / 'out', cloud='ply', formats=('npy',))
    depth = np.load(tmp_path / 'out' / 'npy' / '000000.npy')
    points = PlyData.read(tmp_path / 'out' / 'ply' / '000000.ply')['vertex'].data
    assert len(points) == np.isfinite(depth).sum() > 0
    rows, columns = np.nonzero(np.isfinite(depth))
    np.testing.assert_allclose(  # K of 64x48 scaled to 128x96
        points['x'], (columns - 159.5) / 1000 * depth[rows, columns], rtol=1e-5, atol=1e-6)
    folder = pictures(tmp_path / 'pictures', 1)
    with pytest.raises(RecordingError, match='--fov'):
        estimated(folder, tmp_path / 'none', cloud='ply')
    estimated(folder, tmp_path / 'angle', cloud='ply', fov=70.0)
    count = len(PlyData.read(tmp_path / 'angle' / 'ply' / 'room_0.ply')['vertex'].data)
    estimated(folder, tmp_path / 'pcl', cloud='pcd', fov=70.0)
    assert PointCloud.from_path(tmp_path / 'pcl' / 'pcd' / 'room_0.pcd').points == count > 0


def test_only_missing_files_are_made_again(tmp_path, estimated, monkeypatch):
    source, output = pictures(tmp_path / 'in'), tmp_path / 'out'
    accounts, _ = estimated(source, output)
    assert accounts[str(source)].published == 3
    files = sorted((output / 'png').iterdir())
    assert [path.name for path in files] == [f'room_{number}.png' for number in range(3)]
    before = [path.read_bytes() for path in files]
    files[1].unlink()
    times = [path.stat().st_mtime_ns for path in (files[0], files[2])]
    accounts, _ = estimated(source, output)
    assert accounts[str(source)].published == 3
    assert [path.read_bytes() for path in files] == before
    assert [path.stat().st_mtime_ns for path in (files[0], files[2])] == times
    monkeypatch.setattr(module, 'Network', None)  # with all there it is not even loaded
    estimated(source, output)


def test_another_job_does_not_mix_with_what_is_there(tmp_path, estimated):
    source, output = pictures(tmp_path / 'in', 1), tmp_path / 'out'
    other = pictures(tmp_path / 'other', 1)
    estimated(source, output)
    with pytest.raises(RecordingError, match=r'another inputs: .*--overwrite'):
        estimated(other, output)
    estimated(other, output, overwrite=True)


def test_options_that_change_nothing_of_what_is_there_go_on(tmp_path, estimated):
    source, output = pictures(tmp_path / 'in', 1), tmp_path / 'out'
    estimated(source, output)
    made = (output / 'png' / 'room_0.png').stat().st_mtime_ns
    estimated(source, output, fov=60.0, preview_far=4.0)
    assert (output / 'png' / 'room_0.png').stat().st_mtime_ns == made
    estimated(source, output, cloud='ply', fov=60.0)
    with pytest.raises(RecordingError, match=r'another fov: .*--overwrite'):
        estimated(source, output, cloud='ply', fov=70.0)
    estimated(source, output, preview=True, preview_far=6.0)
    with pytest.raises(RecordingError, match=r'another preview_far: .*--overwrite'):
        estimated(source, output, preview=True, preview_far=8.0)


def test_a_job_that_made_nothing_binds_nobody(tmp_path, estimated):
    output = tmp_path / 'out'
    output.mkdir()
    (output / JOB).write_text('{"model": "one that could not be loaded"}')
    accounts, _ = estimated(pictures(tmp_path / 'in', 1), output)
    assert sum(account.published for account in accounts.values()) == 1


@pytest.mark.parametrize('kind', ['pictures', 'bag'])
def test_depth_of_an_input_that_was_replaced_is_not_kept(tmp_path, bag, estimated, kind):
    source = pictures(tmp_path / 'in', 1) if kind == 'pictures' else bag(frames(1))
    estimated(source, tmp_path / 'out')
    if kind == 'pictures':
        cv2.imwrite(str(source / 'room_1.png'), np.zeros(SHAPE, np.uint8))
        accounts, _ = estimated(source, tmp_path / 'out')
        assert accounts[str(source)].published == 2
        cv2.imwrite(str(source / 'room_0.png'), np.zeros(SHAPE, np.uint8))
    else:
        shutil.rmtree(source)
        bag(frames(1, seed=2))
    with pytest.raises(RecordingError, match=r'in/.* has changed since its depth in .*out was'):
        estimated(source, tmp_path / 'out')
    estimated(source, tmp_path / 'out', overwrite=True)


def test_depth_never_replaces_an_input(tmp_path, estimated):
    source = pictures(tmp_path / 'data' / 'png', 2)
    before = {path: path.read_bytes() for path in source.iterdir()}
    with pytest.raises(RecordingError, match=r'data/png lies in the output .*data: name another'):
        estimated(source, tmp_path / 'data', overwrite=True)
    with pytest.raises(RecordingError, match=r'room_0\.png is an input and lies where depth'):
        estimated(sorted(before), tmp_path / 'data', overwrite=True)
    assert {path: path.read_bytes() for path in (tmp_path / 'data').rglob('*.*')} == before


def test_the_output_below_a_glob_is_no_input(tmp_path, estimated):
    pictures(tmp_path / 'g', 2)
    for _ in range(2):
        accounts, _ = estimated(f'{tmp_path}/g/**/*.png', tmp_path / 'g' / 'out')
        assert [account.published for account in accounts.values()] == [2]
    assert len(list((tmp_path / 'g' / 'out').rglob('*.png'))) == 2


def test_frames_before_the_first_calibration_have_no_cloud_and_are_named(
        tmp_path, bag, estimated, monkeypatch):
    late = [one for one in frames(12) if one.topic == '/cam/image_raw']
    late += [info(START + 11 * PERIOD)]
    source = bag(sorted(late, key=lambda one: one.time))
    _, warnings = estimated(source, tmp_path / 'out', cloud='ply')
    clouds = len(list((tmp_path / 'out' / 'ply').iterdir()))
    assert 0 < clouds < 12 and len(list((tmp_path / 'out' / 'png').iterdir())) == 12
    assert f'{12 - clouds} of 12 frames have no calibration' in warnings[-1]
    monkeypatch.setattr(module, 'Network', None)  # nothing is made again
    assert estimated(source, tmp_path / 'out', cloud='ply')[1] == warnings


def test_overwriting_that_was_cut_off_leaves_nothing_of_the_job_before(
        tmp_path, estimated, monkeypatch):
    source, output = pictures(tmp_path / 'in'), tmp_path / 'out'
    estimated(source, output, preview=True, preview_far=4.0)
    before = {path.name: path.read_bytes() for path in (output / 'preview').iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(module, 'write_whole', cut_off_after(3, write_whole))
        with pytest.raises(KeyboardInterrupt):
            estimated(source, output, preview=True, preview_far=8.0, overwrite=True)
    accounts, _ = estimated(source, output, preview=True, preview_far=8.0)
    assert accounts[str(source)].published == 3
    after = {path.name: path.read_bytes() for path in (output / 'preview').iterdir()}
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


def cut_off_after(writes: int, write: Callable[..., None]) -> Callable[..., None]:
    left = iter(range(writes))

    def written(path: Path, data: bytes, **options: bool) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(path, data, **options)
    return written


def test_pictures_keep_their_names_wherever_they_lie(tmp_path, estimated):
    pictures(tmp_path / 'in' / 'left', 1)
    pictures(tmp_path / 'in' / 'right', 1)
    cv2.imwrite(str(tmp_path / 'in' / 'right' / 'room_0.jpg'), np.full(SHAPE, 90, np.uint8))
    estimated(f'{tmp_path}/in/**/*', tmp_path / 'out')
    assert sorted(str(path.relative_to(tmp_path / 'out' / 'png'))
                  for path in (tmp_path / 'out').rglob('*.png')) == [
        'left/room_0.png', 'right/room_0.jpg.png', 'right/room_0.png.png']
    several = sorted((tmp_path / 'in').rglob('*.png'))
    accounts, _ = estimated(several, tmp_path / 'several')
    assert accounts['2 pictures'].published == 2


def test_several_inputs_get_folders_of_their_own(tmp_path, bag, estimated):
    estimated([bag(frames(1), 'one'), pictures(tmp_path / 'two', 1)], tmp_path / 'out')
    assert (tmp_path / 'out' / 'one' / 'png' / '000000.png').is_file()
    assert (tmp_path / 'out' / 'two' / 'png' / 'room_0.png').is_file()


def test_a_video_becomes_a_video_of_image_and_depth(tmp_path, estimated):
    source = tmp_path / 'in.avi'
    video = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*'MJPG'), 10, (128, 96))
    for level in (20, 90, 160, 230, 255):
        video.write(np.full(SHAPE, level, np.uint8))
    video.release()
    estimated(source, tmp_path / 'out', video=True)
    made = cv2.VideoCapture(str(tmp_path / 'out' / 'video.mp4'))
    assert made.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    levels = []
    while True:
        found, picture = made.read()
        if not found:
            break
        assert picture.shape == (96, 256, 3)
        levels.append(picture[:, :120].mean())
    np.testing.assert_allclose(levels, (20, 90, 160, 230, 255), atol=4)
    (tmp_path / 'out' / 'video.mp4').unlink()
    estimated(source, tmp_path / 'out', video=True)  # made anew, from every frame
    assert cv2.VideoCapture(str(tmp_path / 'out' / 'video.mp4')).get(
        cv2.CAP_PROP_FRAME_COUNT) == 5


@pytest.mark.parametrize(('rate', 'expected'), [
    (89.973, 89.97), (29.97, 29.97), (1200.26, 1200.3), (0.0004, 0.01)])
def test_a_video_has_the_nearest_rate_that_its_format_can_have(
        tmp_path, monkeypatch, rate, expected):
    monkeypatch.chdir(tmp_path)
    with VideoWriter(Path('2024-05-01T10:00:00.mp4'), rate) as writer:
        for level in (10, 90, 200):
            writer.write(np.full(SHAPE, level, np.uint8))
    assert cv2.VideoCapture(str(tmp_path / '2024-05-01T10:00:00.mp4')).get(
        cv2.CAP_PROP_FPS) == pytest.approx(expected, rel=1e-6)


def test_frames_without_depth_are_counted_and_have_no_file(tmp_path, bag, estimated):
    said = [one for one in frames(2) if one.topic == '/cam/image_raw']
    thin = image(np.zeros((1, 128, 3), np.uint8), 'bgr8', START - 1)
    said[0].message.data = said[0].message.data[:9]
    accounts, _ = estimated(bag([thin, *said]), tmp_path / 'out')
    account, = accounts.values()
    assert (account.received, account.published, account.dropped) == (
        3, 1, {'unsuitable': 1, 'undecodable': 1})
    assert [path.name for path in (tmp_path / 'out' / 'png').iterdir()] == ['000002.png']
