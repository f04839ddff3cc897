# SPDX-License-Identifier: Apache-2.0
"""Many bags become what each would alone, whoever makes which part, and whatever goes wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from tqdm import tqdm

from depth_estimation_ros.fleet import maker
from depth_estimation_ros.fleet.bags import Bag
from depth_estimation_ros.fleet.engines import Here
from depth_estimation_ros.fleet.maker import PartMaker
from depth_estimation_ros.fleet.run import REPORT, process_bags, ranges
from depth_estimation_ros.fleet.state import ATTEMPTS, BagState
from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.network import Network
from depth_estimation_ros.recordings import RecordingError

from ..offline.conftest import frames
from ..recordings.bags import PERIOD, START, image, jpeg, leave_log, write_rosbag2
from .conftest import PART, content


class Disordered(Here):
    """Two workers that take the ranges from the end, and each part twice."""

    workers = 2

    def make(self, job, ranges) -> Iterator:
        makers = PartMaker(job), PartMaker(job)
        for number, each in enumerate(reversed(list(ranges))):
            rows = list(makers[number % 2].make(each))
            assert not any(row['made'] for row in makers[0].make(each))
            yield from rows


class Never(Here):
    """Makes nothing: everything must be there."""

    def make(self, job, ranges):
        raise AssertionError(list(ranges))

    plan = make


@pytest.mark.parametrize('engine', [Here, Disordered])
def test_each_bag_is_what_it_would_be_alone(tmp_path, drives, run, expected, engine):
    reports = run(drives, tmp_path / 'out', engine())
    assert {name: (report.parts, report.made, report.is_whole, report.errors)
            for name, report in reports.items()} == {
        'a': (3, 3, True, []), 'monday/b': (2, 2, True, []), 'monday/c': (1, 1, True, [])}
    assert content(tmp_path / 'out') == expected
    again = run(drives, tmp_path / 'out', Never())
    assert all(report.is_whole and not report.made for report in again.values())
    assert again['a'].frames['/cam/image_raw']['published'] == 7
    listed = json.loads((tmp_path / 'out' / REPORT).read_text())
    assert [(one['bag'], one['is_whole']) for one in listed] == [
        ('a', True), ('monday/b', True), ('monday/c', True)]


def test_bags_and_output_may_lie_elsewhere(tmp_path, drives, run, expected):
    store = f'memory://{uuid4().hex}'
    filesystem, root = fsspec.core.url_to_fs(store)
    filesystem.put(str(drives), f'{root}/drives', recursive=True)
    run(f'{store}/drives/**', f'{store}/out')
    filesystem.get(f'{root}/out', str(tmp_path / 'out'), recursive=True)
    assert content(tmp_path / 'out') == expected


def test_a_bag_that_cannot_be_read_is_a_row(tmp_path, drives, run, expected):
    (drives / 'broken.mcap').write_bytes(b'nonsense')
    write_rosbag2(drives / 'silent', frames(2)[1:3])  # no image
    write_rosbag2(drives / 'depthless', [
        image(np.zeros((1, 8, 3), np.uint8), 'bgr8', START + number * PERIOD)
        for number in range(3)])
    reports = run(drives, tmp_path / 'out')
    assert 'does not begin as a .mcap' in reports['broken'].errors[0]
    assert 'holds no colour image' in reports['silent'].errors[0]
    assert 'no image has depth: /cam/image_raw: 3 frames' in reports['depthless'].errors[0]
    assert content(tmp_path / 'out') == expected


def test_an_error_in_a_part_is_its_row_and_the_next_run_makes_it(
        tmp_path, drives, run, expected, monkeypatch):
    whole = BagState.take
    failed: list[int] = []

    def full(self, number, folder, accounts):
        if number == 1 and self.bag.name == 'a' and not failed:
            failed.append(number)
            raise OSError(28, 'No space left on device')
        whole(self, number, folder, accounts)

    monkeypatch.setattr(BagState, 'take', full)
    reports = run(drives, tmp_path / 'out')
    assert reports['a'].errors == ['[Errno 28] No space left on device']
    assert not (tmp_path / 'out' / 'a').exists() and reports['monday/b'].is_whole
    again = run(drives, tmp_path / 'out')
    assert (again['a'].made, again['a'].parts) == (1, 3)
    assert content(tmp_path / 'out') == expected


def test_a_model_that_cannot_be_loaded_is_tried_once(tmp_path, drives, run, network,
                                                     monkeypatch):
    tried = []

    def broken(options):
        tried.append(options)
        return Network(replace(options, model=str(tmp_path)))

    monkeypatch.setattr(maker, 'Network', broken)
    reports = run(drives, tmp_path / 'out')
    assert len(tried) == 1
    assert all(len(report.errors) == 1 and str(tmp_path) in report.errors[0]
               for report in reports.values())


def test_other_options_and_another_bag_are_refused(tmp_path, drives, run, expected):
    run(drives, tmp_path / 'out')
    with pytest.raises(RecordingError, match='was begun with preview False instead of True'):
        run(drives, tmp_path / 'out', preview=True)
    file = drives / 'monday' / 'c.bag'
    file.write_bytes(file.read_bytes() + b'more')
    reports = run(drives, tmp_path / 'out')
    assert 'has changed since: --redo monday/c makes' in reports['monday/c'].errors[0]
    assert reports['a'].is_whole and content(tmp_path / 'out') == expected


def test_a_bag_with_a_write_ahead_log_is_finished_once(tmp_path, run):
    folder = write_rosbag2(tmp_path / 'drives' / 'killed', frames(4), StoragePlugin.SQLITE3)
    with leave_log(folder):
        run(tmp_path / 'drives', tmp_path / 'out')
        os.utime(next(folder.glob('*-shm')))
        assert run(tmp_path / 'drives', tmp_path / 'out', Never())['killed'].is_whole


def test_other_options_are_taken_while_nothing_is_made(tmp_path, drives, run, expected):
    run(drives, tmp_path / 'out', Planned(), part=0.05)
    run(drives, tmp_path / 'out', preview_far=3.0)
    assert content(tmp_path / 'out') == expected


def test_a_plan_counts_parts_as_they_are_made(tmp_path, run):
    folder = write_rosbag2(tmp_path / 'drives' / 'cut', [
        *frames(4)[6:], *frames(2), *frames(40, seed=1)[6:]], StoragePlugin.SQLITE3)
    file = next(folder.glob('*.db3'))
    file.write_bytes(file.read_bytes()[:file.stat().st_size * 3 // 4])
    report = run(tmp_path / 'drives', tmp_path / 'out')['cut']
    assert report.is_whole and not report.errors


def test_one_bag_is_made_anew_and_the_others_are_left(tmp_path, drives, run, expected):
    run(drives, tmp_path / 'out')
    (tmp_path / 'out' / 'monday' / 'b' / 'b_0.mcap').write_bytes(b'spoilt')
    reports = run(drives, tmp_path / 'out', redo=['monday/b'])
    assert {name: report.made for name, report in reports.items()} == {
        'a': 0, 'monday/b': 2, 'monday/c': 0}
    assert content(tmp_path / 'out') == expected
    with pytest.raises(RecordingError, match='there is no nothing to make anew; there is a, mon'):
        run(drives, tmp_path / 'out', redo=['nothing'])


def test_restart_takes_other_options(tmp_path, drives, run):
    run(drives / 'monday', tmp_path / 'out')
    reports = run(drives / 'monday', tmp_path / 'out', restart=True, preview=True)
    assert all(report.is_whole and report.made for report in reports.values())


def test_a_part_that_kills_its_workers_is_a_row(tmp_path, drives, run, monkeypatch, expected):
    """Each try is by a worker that dies of it, as by an engine that replaces them for ever."""
    class Replacing(Here):
        def make(self, job, ranges):
            for each in ranges:
                while True:
                    try:
                        yield from PartMaker(job).make(each)
                        break
                    except SystemExit:
                        deaths.append(each.bag.name)

    deaths: list[str] = []
    before = maker.OpenBag.make

    def deadly(self, number):
        if self.bag.name == 'a' and number == 1 and poison:
            raise SystemExit
        return before(self, number)

    poison = True
    monkeypatch.setattr(maker.OpenBag, 'make', deadly)
    monkeypatch.setattr('depth_estimation_ros.fleet.run.RANGES_A_WORKER', 100)
    reports = run(drives, tmp_path / 'out', Replacing())
    assert len(deaths) == ATTEMPTS and 'its worker was lost 4 times' in reports['a'].errors[0]
    assert reports['monday/b'].is_whole
    poison = False
    assert run(drives, tmp_path / 'out')['a'].made == 1
    assert content(tmp_path / 'out') == expected


def test_what_fails_twice_alike_is_not_tried_again(tmp_path, run, monkeypatch):
    write_rosbag2(tmp_path / 'long', frames(12))
    opened = []

    def broken(bag, scratch):
        opened.append(bag.name)
        raise OSError(5, 'Input/output error')

    run(tmp_path / 'long', tmp_path / 'plan', Planned())
    monkeypatch.setattr(maker, 'fetch', broken)
    monkeypatch.setattr('depth_estimation_ros.fleet.run.RANGES_A_WORKER', 1)
    report = run(tmp_path / 'long', tmp_path / 'plan')['long']
    assert report.parts == report.done == 4 and len(opened) == 2
    assert report.errors == ['[Errno 5] Input/output error']


class Planned(Here):
    """Makes nothing yet."""

    def make(self, job, ranges):
        return iter(())


def test_two_jobs_do_not_share_an_output(tmp_path, drives, run):
    class Meanwhile(Here):
        def make(self, job, ranges):
            before = (tmp_path / 'out' / '.process_bags' / 'job.json').read_bytes()
            for options in {}, {'restart': True, 'preview': True}:
                with pytest.raises(RecordingError, match='is being written by another process'):
                    run(drives, tmp_path / 'out', **options)
            assert (tmp_path / 'out' / '.process_bags' / 'job.json').read_bytes() == before
            return super().make(job, ranges)

    assert run(drives, tmp_path / 'out', Meanwhile())['a'].is_whole
    assert run(drives, tmp_path / 'out', Never())['a'].is_whole


def test_a_bag_may_be_called_like_what_is_temporary(tmp_path, run):
    write_rosbag2(tmp_path / 'drives' / 'tmp', frames(4))
    write_rosbag2(tmp_path / 'drives' / 'lock', frames(4))
    run(tmp_path / 'drives', tmp_path / 'out')
    assert all(report.is_whole for report in run(
        tmp_path / 'drives', tmp_path / 'out', Never()).values())


def test_a_file_that_has_gone_from_a_whole_bag_is_made_again(tmp_path, drives, run, expected):
    run(drives, tmp_path / 'out')
    (tmp_path / 'out' / 'a' / 'a_1.mcap').unlink()
    assert run(drives, tmp_path / 'out')['a'].made == 1
    assert content(tmp_path / 'out') == expected


def test_the_report_keeps_the_bags_of_earlier_calls(tmp_path, drives, run):
    run(drives / 'a', tmp_path / 'out')
    run(drives / 'monday', tmp_path / 'out')
    assert [each['bag'] for each in json.loads((tmp_path / 'out' / REPORT).read_text())] == [
        'a', 'b', 'c']


def test_restart_makes_it_anew(tmp_path, drives, run, expected):
    run(drives, tmp_path / 'out')
    (tmp_path / 'out' / 'a' / 'a_0.mcap').write_bytes(b'spoilt')
    assert run(drives, tmp_path / 'out', restart=True)['a'].made == 3
    assert content(tmp_path / 'out') == expected


def test_parts_that_have_gone_are_made_again(tmp_path, drives, run, expected):
    run(drives, tmp_path / 'out')
    for path in (tmp_path / 'out' / 'a').iterdir():
        path.unlink()
    (tmp_path / 'out' / 'a').rmdir()
    assert run(drives, tmp_path / 'out')['a'].made == 3
    assert content(tmp_path / 'out') == expected


def test_what_is_there_and_not_ours_is_left(tmp_path, drives, run):
    (tmp_path / 'out' / 'a').mkdir(parents=True)
    (tmp_path / 'out' / 'a' / 'metadata.yaml').write_text('mine')
    for restart in False, True:
        reports = run(drives, tmp_path / 'out', restart=restart)
        assert 'a exists in' in reports['a'].errors[0] and reports['monday/b'].is_whole
        assert (tmp_path / 'out' / 'a' / 'metadata.yaml').read_text() == 'mine'


def test_what_is_learnt_of_a_camera_is_learnt_by_every_worker(tmp_path, run):
    rng = np.random.default_rng(3)  # 12 bits, as only the first images show
    write_rosbag2(tmp_path / 'bits', [
        image(rng.integers(0, 4096 if number < 3 else 300, (96, 128), np.uint16), 'mono16',
              START + number * PERIOD) for number in range(8)])
    run(tmp_path / 'bits', tmp_path / 'here')
    run(tmp_path / 'bits', tmp_path / 'there', Disordered())
    assert content(tmp_path / 'there') == content(tmp_path / 'here')
    write_rosbag2(tmp_path / 'jpeg', [
        jpeg(rng.integers(0, 256, (96, 128, 3), np.uint8), START + number * PERIOD)
        for number in range(8)])
    run(tmp_path / 'jpeg', tmp_path / 'here2')
    run(tmp_path / 'jpeg', tmp_path / 'there2', Disordered())
    assert content(tmp_path / 'there2') == content(tmp_path / 'here2')


def test_the_work_is_shared_out_in_ranges():
    long, short = Bag('long', '', ()), Bag('short', '', ())
    made = ranges({long: 10, short: 1}, 2)
    assert [(each.bag.name, each.first, each.end) for each in made] == [
        ('long', 0, 2), ('long', 2, 4), ('long', 4, 6), ('long', 6, 8), ('long', 8, 10),
        ('short', 0, 1)]
    assert len(ranges({Bag(str(number), '', ()): 3 for number in range(100)}, 2)) == 100


def test_relative_paths_mean_the_same_to_workers_elsewhere(
        tmp_path: Path, drives, run, network, checkpoint, expected, monkeypatch) -> None:
    class Elsewhere(Here):
        def make(self, job, ranges):
            monkeypatch.chdir(drives)
            return super().make(job, ranges)

    monkeypatch.chdir(tmp_path)
    (tmp_path / 'model').symlink_to(checkpoint)
    relative = replace(network, model='model')
    process_bags(['drives'], 'out', ProcessOptions(part=PART), relative, Elsewhere(),
                 progress=tqdm(disable=True))
    assert content(tmp_path / 'out') == expected
