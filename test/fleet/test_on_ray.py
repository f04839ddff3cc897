# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster makes what one process makes, whatever of it is lost meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from depth_estimation_ros.core.errors import DeviceLostError
from depth_estimation_ros.fleet.bags import Bag, find_bags
from depth_estimation_ros.fleet.engines import Here, RayOptions, choose_engine
from depth_estimation_ros.fleet.maker import Job
from depth_estimation_ros.fleet.run import REPORT
from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.network import NetworkOptions
from depth_estimation_ros.recordings import RecordingError

from ..offline.conftest import frames
from ..recordings.bags import write_rosbag2
from .conftest import content

pytest.importorskip('ray', reason="Ray is not installed: pip install 'ray[data]'")

PART = 0.1
"""Seconds: three images."""

ONE_THREAD = {**os.environ, 'OMP_NUM_THREADS': '1', 'RAY_USAGE_STATS_ENABLED': '0'}
"""As Ray gives a worker with one CPU, so that the last digits of the depth are the same."""


def single(source: Path, output: Path, model: Path) -> None:
    """Run the job in one process, in the environment that Ray's workers have."""
    subprocess.run(command(source, output, model), env=ONE_THREAD, check=True, timeout=300,
                   capture_output=True)


def command(source: Path, output: Path, model: Path, *more: str) -> list[str]:
    return [sys.executable, '-m', 'depth_estimation_ros.tools.process_bags', str(source),
            str(output), '--part', str(PART), '--model', str(model), '--device', 'cpu',
            '--backend', 'torch', *more]


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """16 and 8 parts."""
    write_rosbag2(tmp_path / 'drives' / 'a', frames(48))
    write_rosbag2(tmp_path / 'drives' / 'b', frames(24, seed=1))
    return tmp_path / 'drives'


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a cluster of one machine with two CPUs."""
    from ray.cluster_utils import Cluster
    made = Cluster(initialize_head=True, head_node_args={
        'num_cpus': 2, 'include_dashboard': False, 'object_store_memory': 80 * 2**20})
    yield made.address
    made.shutdown()


@pytest.mark.parametrize(('address', 'said'), [
    ('nowhere', 'is no address of a Ray cluster'), ('127.0.0.1:', 'is no address'),
    ('127.0.0.1:99999', 'no Ray cluster answers'), ('nobody.invalid:6379', 'no Ray cluster')])
def test_a_cluster_that_is_not_there_is_said_at_once(address, said):
    with pytest.raises(RecordingError, match=said):
        choose_engine(RayOptions(address), 'cpu')


def test_a_port_that_nobody_listens_at_is_said_at_once():
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RecordingError, match=f'no Ray cluster answers at 127.0.0.1:{port}'):
        choose_engine(RayOptions(f'127.0.0.1:{port}'), 'cpu')


def test_room_that_no_machine_has_is_said_at_once():
    from depth_estimation_ros.fleet.on_ray import _check_room
    machines = [{'CPU': 2.0}, {'CPU': 8.0, 'GPU': 1.0}]
    _check_room(machines, 8, 1.0)
    with pytest.raises(RecordingError, match=r'asks for 9 CPUs, and no machine .* more than 8'):
        _check_room(machines, 9, 0.0)
    with pytest.raises(RecordingError, match='asks for 2 GPUs'):
        _check_room(machines, 1, 2.0)
    _check_room([{'CPU': 2.0}, {}], 1, 1.0)  # a machine with a GPU may join
    _check_room([{}], 4, 0.0)


def test_one_worker_needs_no_ray():
    assert isinstance(choose_engine(RayOptions(workers=1), 'cuda'), Here)
    assert isinstance(choose_engine(RayOptions(), 'cpu'), Here)
    assert isinstance(choose_engine(RayOptions(), 'cuda:1'), Here)


def test_one_gpu_by_its_number_is_not_for_several_workers():
    for options in RayOptions(workers=2), RayOptions('auto'):
        with pytest.raises(RecordingError, match='--device cuda:1 names one GPU'):
            choose_engine(options, 'cuda:1')


def test_a_worker_whose_gpu_is_lost_gives_way_to_another(tmp_path, checkpoint, monkeypatch):
    from depth_estimation_ros.fleet import on_ray
    maker = on_ray.RangeMaker(Job(str(tmp_path), 'run', ProcessOptions(), NetworkOptions()))

    def lost(wanted):
        raise DeviceLostError('the device is lost')

    monkeypatch.setattr(maker._maker, 'make', lost)
    monkeypatch.setattr(os, '_exit', sys.exit)
    with pytest.raises(SystemExit):
        maker({'bag': [Bag('a', str(tmp_path), ()).as_json()], 'first': [0], 'end': [1]})


def test_a_worker_that_is_done_leaves_no_copies(tmp_path, drives, checkpoint, monkeypatch):
    from depth_estimation_ros.fleet import on_ray
    (tmp_path / 'scratch').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'scratch'))
    maker = on_ray.RangeMaker(Job(str(tmp_path / 'out'), 'run', ProcessOptions(part=PART),
                                  NetworkOptions(str(checkpoint), 'cpu', backend='torch')))
    bag = find_bags([str(drives / 'a')], str(tmp_path / 'out'))[0]
    made = maker({'bag': [bag.as_json()], 'first': [0], 'end': [1]})
    assert made['error'] == [''] and any((tmp_path / 'scratch').iterdir())
    del maker
    assert not any((tmp_path / 'scratch').iterdir())


@pytest.mark.slow
def test_a_worker_lost_a_machine_lost_a_machine_more(tmp_path, drives, checkpoint):
    single(drives, tmp_path / 'expected', checkpoint)
    done = subprocess.run(
        [sys.executable, '-m', 'test.fleet.cluster', str(drives), str(tmp_path / 'out'),
         str(checkpoint), str(PART)], env=ONE_THREAD, capture_output=True, text=True, timeout=400,
        check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(bag['is_whole'] and not bag['errors'] for bag in found['bags']), found
    assert [bag['parts'] for bag in found['bags']] == [16, 8]
    assert len(found['workers']) >= 3  # two at first, and one in place of that which was killed
    assert content(tmp_path / 'out') == content(tmp_path / 'expected')


@pytest.mark.slow
def test_two_workers_of_this_machine(tmp_path, drives, checkpoint):
    single(drives, tmp_path / 'expected', checkpoint)
    done = subprocess.run(
        command(drives, tmp_path / 'out', checkpoint, '--workers', '2', '--cpus', '1'),
        env=ONE_THREAD, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('2 of 2 bags have depth, 72 frames')
    reports = json.loads((tmp_path / 'out' / REPORT).read_text())
    assert len({worker for report in reports for worker in report['workers']}) == 2
    assert content(tmp_path / 'out') == content(tmp_path / 'expected')


@pytest.mark.slow
def test_a_job_that_is_killed_goes_on(tmp_path, drives, checkpoint, cluster):
    single(drives, tmp_path / 'expected', checkpoint)
    expected, chance = content(tmp_path / 'expected'), random.Random(7)
    run = command(drives, tmp_path / 'out', checkpoint, '--address', cluster, '--cpus', '1')
    kills = int(os.environ.get('KILLS', '3'))
    while kills:
        with subprocess.Popen(run, env=ONE_THREAD, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE) as job:
            wait_for_a_part(tmp_path / 'out', job)
            time.sleep(chance.uniform(0, 1.5))
            job.send_signal(signal.SIGKILL)
            _, error = job.communicate(timeout=60)
        if job.returncode == 0:
            assert content(tmp_path / 'out') == expected
            subprocess.run(['rm', '-r', str(tmp_path / 'out')], check=True)
            continue
        assert job.returncode == -signal.SIGKILL, error
        kills -= 1
        assert set(content(tmp_path / 'out').items()) <= set(expected.items())
    last = subprocess.run(run, env=ONE_THREAD, capture_output=True, text=True, timeout=200,
                          check=False)
    assert last.returncode == 0, last.stderr
    assert content(tmp_path / 'out') == expected


def wait_for_a_part(output: Path, job: subprocess.Popen) -> None:
    """Wait until a job has finished one more part than there were, or ends."""
    def count() -> int:
        return len(list(output.rglob('part_*.json')))

    before, until = count(), time.monotonic() + 120
    while count() == before and job.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
