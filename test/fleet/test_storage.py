# SPDX-License-Identifier: Apache-2.0
"""Files appear whole or not at all, on a disk as in memory."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from fsspec.registry import known_implementations

from depth_estimation_ros.fleet.storage import TEMPORARY, Storage
from depth_estimation_ros.recordings import RecordingError


@pytest.fixture(params=['local', 'memory'])
def storage(request, tmp_path) -> Storage:
    return Storage(str(tmp_path) if request.param == 'local' else f'memory://{uuid4().hex}')


def left(storage: Storage) -> list[str]:
    folder = storage.path(TEMPORARY)
    return storage.filesystem.find(folder) if storage.filesystem.exists(folder) else []


def test_what_is_written_is_read(storage, tmp_path):
    assert storage.read('a/b') is None and not storage.exists('a')
    storage.write('a/b', b'one')
    storage.write('a/b', b'two')
    (tmp_path / 'file').write_bytes(b'three')
    storage.put(tmp_path / 'file', 'a/c')
    assert (storage.read('a/b'), storage.read('a/c')) == (b'two', b'three')
    assert not left(storage)


def test_a_write_that_fails_leaves_what_was_there(storage, monkeypatch):
    storage.write('a', b'before')

    def full(path: str, data: bytes) -> None:
        with storage.filesystem.open(path, 'wb') as stream:
            stream.write(data[:2])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(storage.filesystem, 'pipe_file', full)
    with pytest.raises(RecordingError, match='a cannot be written: No space left'):
        storage.write('a', b'after')
    assert storage.read('a') == b'before' and not left(storage)


def test_a_folder_is_given_its_name_with_the_file_that_counts_last(storage, monkeypatch):
    for name in 'part', 'a_meta', 'z':
        storage.write(f'hidden/{name}', name.encode())
    moved = []
    before = storage._replace

    def noted(path, to):
        moved.append(to)
        before(path, to)

    monkeypatch.setattr(storage, '_replace', noted)
    storage.move('hidden', 'day/bag', last='a_meta')
    assert [storage.read(f'day/bag/{name}') for name in ('part', 'a_meta', 'z')] == [
        b'part', b'a_meta', b'z']
    assert storage.is_local or moved[-1].endswith('/a_meta')
    storage.remove('day')
    storage.remove('day')
    assert not storage.exists('day/bag/z')


@pytest.mark.parametrize('url', ['nonsense://bucket/a', 's3://bucket/a'])
def test_a_filesystem_that_is_not_there_is_named(url: str, monkeypatch) -> None:
    monkeypatch.setitem(known_implementations, 's3', {
        'class': 'package_that_nobody_has.S3', 'err': 'Install s3fs to access S3'})
    with pytest.raises(RecordingError, match=f'{url} cannot be reached: .*(s3fs|nonsense)'):
        Storage(url)


def test_no_right_to_write_is_one_line(tmp_path: Path) -> None:
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(RecordingError, match='a cannot be written'):
        Storage(str(tmp_path / 'file')).write('a', b'')
