# SPDX-License-Identifier: Apache-2.0
"""report on what each command leaves, and on what is no run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tqdm import tqdm

from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.estimate import EstimateOptions, estimate
from depth_estimation_ros.offline.formats import FORMATS, decoded
from depth_estimation_ros.offline.network import NetworkOptions
from depth_estimation_ros.offline.process import process_bag
from depth_estimation_ros.recordings import RecordingError
from depth_estimation_ros.report import Gallery, Report, Series, Table, report_of
from depth_estimation_ros.tools import evaluate, report

from ..offline.conftest import frames
from ..recordings.bags import drive as other_drive
from ..recordings.bags import write_rosbag2
from .runs import ACCOUNT, DEPTH, HOSTILE, IMAGE, SHAPE, TRUTH, depth_map, drive, processed


def titles(found: Report) -> list[str]:
    return [section.title for section in found.sections]


def gallery(found: Report, title: str) -> Gallery:
    section, = (section for section in found.sections if section.title == title)
    assert isinstance(section, Gallery)
    return section


def test_a_bag_of_process_bag(tmp_path: Path) -> None:
    found = report_of(processed(tmp_path / 'run', drive()))
    assert titles(found) == [
        'Frames', 'Gaps between frames', 'Pixels without a distance', 'Error against ground truth',
        'Histogram of depth', 'Frames, evenly spaced', 'Worst frames: most unknown',
        'Worst frames: highest AbsRel']
    assert found.facts['Frames with depth'] == '10'
    assert (found.facts['Depth'], found.facts['Image'], found.facts['Ground truth']) == (
        DEPTH, IMAGE, TRUTH)
    assert found.facts['AbsRel'] == '0.1100, mean of 10 frames'
    table = found.sections[0]
    assert isinstance(table, Table)
    assert [tuple(row[1:4]) for row in table.rows] == [
        ('received', '12', ''), ('with depth', '10', '83.3%'),
        ('dropped: undecodable', '2', '16.7%')]


def test_frames_are_shown_with_image_depth_and_truth(tmp_path: Path) -> None:
    found = report_of(processed(tmp_path / 'run', drive()))
    for title in ('Frames, evenly spaced', 'Worst frames: most unknown'):
        for sample in gallery(found, title).samples:
            assert sample.image is not None and sample.image.shape == (*SHAPE, 3)
            assert sample.truth is not None and sample.truth.shape == SHAPE
    worst = gallery(found, 'Worst frames: most unknown').samples[0]
    np.testing.assert_array_equal(worst.depth, depth_map(9))
    assert worst.label == 'frame 9, unknown 9.4%'
    assert gallery(found, 'Worst frames: highest AbsRel').samples[0].label == (
        'frame 3, AbsRel 0.200')


def test_latency_is_told_where_depth_was_recorded_live(tmp_path: Path) -> None:
    found = report_of(write_rosbag2(tmp_path / 'run', drive(delay=7_000_000, truth=False)))
    latency = found.sections[0]
    assert isinstance(latency, Series) and latency.title == 'Latency'
    np.testing.assert_allclose(latency.lines['latency'], 7)
    assert 'AbsRel' not in found.facts and len(titles(found)) == 5


def test_each_camera_has_its_sections(tmp_path: Path) -> None:
    said = drive(4)
    for one in drive(3, truth=False):
        message = one.message
        message.header.frame_id = 'rear'
        said.append(one._replace(topic=one.topic.replace('/cam', '/rear'), message=message))
    found = report_of(write_rosbag2(tmp_path / 'run', sorted(said, key=lambda one: one.time)))
    assert found.facts['/rear/depth/image_rect: Frames with depth'] == '3'
    assert found.facts['/rear/depth/image_rect: Image'] == '/rear/image_raw'
    assert found.facts['/cam/depth/image_rect: Image'] == IMAGE
    assert found.facts['/cam/depth/image_rect: Ground truth'] == TRUTH
    assert found.facts['/rear/depth/image_rect: Ground truth'] == 'none'


def test_a_broken_depth_message_is_named_and_the_rest_shown(tmp_path: Path) -> None:
    said = drive(4)
    next(one for one in said if one.topic == DEPTH).message.step = 3
    found = report_of(write_rosbag2(tmp_path / 'run', said))
    assert found.facts['Frames with depth'] == '3'
    assert any(DEPTH in note for note in found.notes)


def test_process_bag_and_report_agree(tmp_path: Path, checkpoint: Path) -> None:
    source = write_rosbag2(tmp_path / 'in', frames(3))
    network = NetworkOptions(model=str(checkpoint), device='cpu', backend='torch')
    process_bag(str(source), tmp_path / 'out', ProcessOptions(), network,
                progress=tqdm(disable=True))
    found = report_of(tmp_path / 'out')
    assert found.facts['Frames with depth'] == '3' and titles(found)[0] == 'Frames'


def test_depth_is_shown_with_the_image_that_it_was_made_of(
        tmp_path: Path, checkpoint: Path) -> None:
    said = [*frames(3), *frames(3, '/cam/image_rect', seed=1)[::3]]
    source = write_rosbag2(tmp_path / 'in', sorted(said, key=lambda one: one.time))
    network = NetworkOptions(model=str(checkpoint), device='cpu', backend='torch')
    process_bag(str(source), tmp_path / 'out', ProcessOptions(images=('/cam/image_raw',)),
                network, progress=tqdm(disable=True))
    found = report_of(tmp_path / 'out')
    assert found.facts['Image'] == '/cam/image_raw'
    assert 'Latency' not in titles(found)


@pytest.mark.parametrize('kind', FORMATS)
def test_each_kind_of_file_is_read_back(tmp_path: Path, kind: str) -> None:
    if kind == 'exr':
        pytest.importorskip('OpenEXR')
    suffix, encode = FORMATS[kind]
    file, depth = tmp_path / f'depth{suffix}', depth_map(3)
    file.write_bytes(encode(depth))
    found = decoded(kind, file)
    if suffix == '.png':
        depth[np.isinf(depth)] = np.nan  # 0 in both
    np.testing.assert_allclose(found, depth, atol=0.002)
    file.write_bytes(b'rubbish')
    with pytest.raises(RecordingError, match='cannot be read as'):
        decoded(kind, file)


@pytest.mark.parametrize('kinds', [('png',), ('kitti', 'npy'), ('pfm',), ('npz',)])
def test_a_folder_of_estimate(tmp_path: Path, checkpoint: Path, kinds: tuple[str, ...]) -> None:
    source = write_rosbag2(tmp_path / 'in', frames(3))
    network = NetworkOptions(model=str(checkpoint), device='cpu', backend='torch')
    estimate([str(source)], tmp_path / 'out', EstimateOptions(kinds), network,
             progress=tqdm(disable=True))
    found = report_of(tmp_path / 'out')
    table, samples = found.sections[0], gallery(found, 'Frames, evenly spaced').samples
    assert isinstance(table, Table) and tuple(table.rows[1][1:3]) == ('with depth', '3')
    assert found.facts['Frames with depth'] == '3' and found.facts['Read from'] == f'{kinds[-1]}/'
    assert [sample.label.split(',')[0] for sample in samples] == ['000000', '000001', '000002']
    assert all(sample.image is not None for sample in samples)
    (tmp_path / 'in' / 'in.mcap').unlink()
    (tmp_path / 'in' / 'metadata.yaml').unlink()
    without = report_of(tmp_path / 'out')
    assert 'no images are shown' in without.notes[0]
    assert gallery(without, 'Frames, evenly spaced').samples[0].image is None


DEMO = {'model': 'demo', 'frames_in': 12, 'frames_out': 10, 'dropped': {'replaced': 2},
        'fps': 14.9, 'latency_ms': {'p50': 7.0, 'p99': 9.5}, 'node_exit_code': 0}
SOAK = {'frames_in': 50, 'frames_out': 49, 'dropped': {}, 'unaccounted': 1, 'seconds': 3,
        'seconds_of_building': 1, 'rss_mb_start': 100.0, 'rss_mb_end': 101.0,
        'rss_mb_peak': 102.0, 'growth': 0.01, 'threads': [9, 9], 'file_handles': [30, 31],
        'rss_mb': [[0.0, 90.0], [1.0, 100.0], [2.0, 101.0]]}


def noted(folder: Path, figures: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / 'report.json').write_text(json.dumps(figures))
    return folder


def test_a_demo_with_and_without_depth(tmp_path: Path) -> None:
    run = noted(tmp_path / 'demo', DEMO)
    without = report_of(run)
    assert titles(without) == ['Frames'] and len(without.notes) == 1
    write_rosbag2(run / 'bag', drive(delay=7_000_000))
    found = report_of(run)
    assert found.facts['Latency, p50 and p99'] == '7.0 and 9.5 ms'
    assert titles(found)[:2] == ['Frames', 'Latency'] and not found.notes


def test_a_soak(tmp_path: Path) -> None:
    found = report_of(noted(tmp_path / 'soak', SOAK))
    memory = found.sections[1]
    assert isinstance(memory, Series) and memory.lines == {'resident memory': [90.0, 100.0, 101.0]}
    assert found.facts['Threads'] == '9' and found.facts['File handles'] == '30 to 31'
    assert list(found.notes) == ['1 frames are unaccounted for']


def test_evaluate_writes_its_page(tmp_path: Path) -> None:
    run = write_rosbag2(tmp_path / 'run', drive())
    assert evaluate.main([str(run), '--prediction', DEPTH, '--depth', TRUTH, '--output',
                          str(tmp_path / 'out'), '--html', str(tmp_path / 'page.html')]) == 0
    page = (tmp_path / 'page.html').read_text()
    assert '<td>all</td><td>0.110</td>' in page and 'AbsRel by range' in page


@pytest.fixture
def bad(tmp_path: Path) -> dict[str, Path]:
    pictures = tmp_path / 'pictures'
    pictures.mkdir()
    cv2.imwrite(str(pictures / 'a.png'), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken' / 'report.json').write_text('{')
    (tmp_path / 'files').mkdir()
    (tmp_path / 'files' / 'estimate.json').write_text('{}')
    return {'pictures': pictures, 'empty': tmp_path / 'empty', 'missing': tmp_path / 'missing',
            'raw': write_rosbag2(tmp_path / 'raw', other_drive(2)), 'broken': tmp_path / 'broken',
            'other figures': noted(tmp_path / 'figures', {'rss_mb': 7}),
            'other demo': noted(tmp_path / 'demo', {'frames_in': 7}),
            'no files': tmp_path / 'files'}


@pytest.mark.parametrize(('which', 'said'), [
    ('pictures', 'a run is a recording with depth'), ('empty', 'a run is'),
    ('missing', 'does not exist'), ('raw', 'holds no depth'), ('broken', 'cannot be read'),
    ('other figures', 'of no run of this version'), ('other demo', 'of no run of this version'),
    ('no files', 'holds no file of depth')])
def test_what_is_no_run_is_refused_in_one_line(bad, which, said, tmp_path, capsys) -> None:
    assert report.main([str(bad[which]), '--output', str(tmp_path / 'page.html')]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith('report: ') and printed.count('\n') == 1
    assert said in printed and str(bad[which]) in printed
    assert not (tmp_path / 'page.html').exists()


def test_the_command_writes_a_page_and_no_other_file(tmp_path: Path, capsys) -> None:
    run = processed(tmp_path / 'run', drive(3))
    page = tmp_path / 'page.html'
    assert report.main([str(run), '--output', str(page)]) == 0
    assert report.main([str(run), '--output', str(page)]) == 0
    assert HOSTILE not in page.read_text()
    assert report.main([str(run), '--output', str(run / 'metadata.yaml')]) == 1
    assert 'is no page' in capsys.readouterr().err


def test_a_job_over_many_bags(tmp_path: Path) -> None:
    bag = {'bag': 'a', 'parts': 2, 'done': 2, 'made': 2, 'seconds': 4.0, 'is_whole': True,
           'frames': {IMAGE: ACCOUNT}, 'errors': [], 'warnings': [], 'source': '/a'}
    lost = {**bag, 'bag': 'b', 'made': 0, 'is_whole': False, 'frames': {}, 'errors': [HOSTILE]}
    (tmp_path / 'process_bags.json').write_text(json.dumps([bag, lost]))
    found = report_of(tmp_path)
    assert found.facts['Bags with depth'] == '1 of 2'
    assert found.facts['Frames with depth'] == '10'
    bags = found.sections[0]
    assert isinstance(bags, Table) and [row[-1] for row in bags.rows] == ['whole', HOSTILE]
    assert found.notes == [f'b: {HOSTILE}']
    (tmp_path / 'process_bags.json').write_text('[{}]')
    with pytest.raises(RecordingError, match=r'process_bags\.json is of no run of this version'):
        report_of(tmp_path)
