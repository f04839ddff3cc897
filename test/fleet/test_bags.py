# SPDX-License-Identifier: Apache-2.0
"""Which bags some paths lead to, and under which names."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from depth_estimation_ros.fleet.bags import Bag, fetch, find_bags
from depth_estimation_ros.recordings import RecordingError

FILES = ('mon/a/metadata.yaml', 'mon/a/a_0.mcap', 'mon/a/a_1.mcap', 'mon/lone.mcap', 'old.bag',
         'tue/b/metadata.yaml', 'tue/b/b_0.db3.zstd', 'packed.mcap.zstd', 'notes.txt',
         'empty/metadata.yaml', 'out/x/metadata.yaml', 'out/x/x_0.mcap',
         '.hidden/y/metadata.yaml', '.hidden/y/y_0.mcap')


@pytest.fixture(params=['local', 'memory'])
def drives(request, tmp_path) -> str:
    root = str(tmp_path / 'drives') if request.param == 'local' else f'memory://{uuid4().hex}'
    filesystem, path = fsspec.core.url_to_fs(root)
    for name in FILES:
        filesystem.makedirs(f'{path}/{name}'.rpartition('/')[0], exist_ok=True)
        filesystem.pipe_file(f'{path}/{name}', name.encode())
    return root


def names(sources: list[str], output: str) -> list[str]:
    return [bag.name for bag in find_bags(sources, output)]


def test_bags_are_found_anywhere_below_and_keep_their_names(drives):
    assert names([drives], f'{drives}/out') == ['mon/a', 'mon/lone', 'old', 'packed', 'tue/b']
    assert names([f'{drives}/**'], f'{drives}/out') == names([drives], f'{drives}/out')


def test_a_pattern_and_a_bag_itself(drives):
    assert names([f'{drives}/*/a'], 'elsewhere') == ['mon/a']
    assert names([f'{drives}/mon/a'], 'elsewhere') == ['a']
    assert names([f'{drives}/mon/lone.mcap', f'{drives}/tue'], 'elsewhere') == ['b', 'lone']
    assert names([drives, drives], 'out')[0] == 'mon/a'  # the same bag twice is one


def test_a_directory_is_one_bag_with_all_its_files(drives):
    bag, = find_bags([f'{drives}/mon/a'], 'elsewhere')
    assert [file[0] for file in bag.signature] == ['a_0.mcap', 'a_1.mcap', 'metadata.yaml']
    assert [file[1] for file in bag.signature] == [14, 14, 19]
    assert Bag.from_json(bag.as_json()) == bag


def test_what_readers_touch_is_not_of_a_bags_content(drives):
    filesystem, path = fsspec.core.url_to_fs(drives)
    before, = find_bags([f'{drives}/tue/b'], 'elsewhere')
    for name in 'b_0.db3-shm', '.DS_Store':
        filesystem.pipe_file(f'{path}/tue/b/{name}', b'touched')
    after, = find_bags([f'{drives}/tue/b'], 'elsewhere')
    assert after.signature == before.signature
    filesystem.pipe_file(f'{path}/tue/b/b_0.db3-wal', b'messages')
    assert find_bags([f'{drives}/tue/b'], 'elsewhere')[0].signature != before.signature


def test_what_leads_nowhere_or_to_one_name_is_refused(drives):
    with pytest.raises(RecordingError, match='nowhere leads to no bag'):
        find_bags([f'{drives}/nowhere'], 'out')
    with pytest.raises(RecordingError, match=r'notes\.txt leads to no bag'):
        find_bags([f'{drives}/notes.txt'], 'out')
    filesystem, path = fsspec.core.url_to_fs(drives)
    filesystem.pipe_file(f'{path}/old.mcap', b'')
    with pytest.raises(RecordingError, match='would both become old'):
        find_bags([drives], 'out')


def test_a_bag_inside_what_becomes_of_another_is_refused(drives):
    filesystem, path = fsspec.core.url_to_fs(drives)
    filesystem.pipe_file(f'{path}/mon.mcap', b'')
    with pytest.raises(RecordingError, match=r'mon/\w+.* would lie in what becomes of .*mon'):
        find_bags([drives], 'out')


def test_a_bag_becomes_files_of_this_machine(drives, tmp_path):
    for bag in find_bags([f'{drives}/mon'], 'elsewhere'):
        local = fetch(bag, tmp_path / 'scratch')
        here = sorted(local.iterdir()) if local.is_dir() else [local]
        assert [path.name for path in here] == [file[0] for file in bag.signature]
        assert all(path.read_bytes().decode().endswith(path.name) for path in here)
    copied = list((tmp_path / 'scratch').iterdir()) if (tmp_path / 'scratch').exists() else []
    assert bool(copied) is drives.startswith('memory')


def test_an_unknown_filesystem_is_named():
    with pytest.raises(RecordingError, match='nonsense://x cannot be reached'):
        find_bags(['nonsense://x'], 'out')


def test_nothing_of_the_output_is_taken(tmp_path: Path) -> None:
    (tmp_path / 'out' / 'a').mkdir(parents=True)
    for name in 'metadata.yaml', 'a.mcap':
        (tmp_path / 'out' / 'a' / name).write_bytes(b'')
    with pytest.raises(RecordingError, match='leads to no bag'):
        find_bags([str(tmp_path)], str(tmp_path / 'out'))
    for source in 'out', 'out/a':
        with pytest.raises(RecordingError, match='is, or lies in, the output'):
            find_bags([str(tmp_path / source)], str(tmp_path / 'out'))


def test_a_folder_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / 'drive[1]').mkdir()
    (tmp_path / 'drive[1]' / 'a.mcap').write_bytes(b'')
    assert names([str(tmp_path / 'drive[1]')], 'out') == ['a']
