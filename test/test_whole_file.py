# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole: through links, under long names, on the disk before they are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from depth_estimation_ros.whole_file import write_whole


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / 'there').mkdir()
    real, link, dangling = (tmp_path / name for name in ('there/real', 'link', 'dangling'))
    real.write_text('before')
    link.symlink_to(real)
    dangling.symlink_to(Path('there') / 'new')
    write_whole(link, 'after')
    write_whole(dangling, 'new')
    assert link.is_symlink() and real.read_text() == 'after'
    assert dangling.is_symlink() and (tmp_path / 'there' / 'new').read_text() == 'new'
    assert sorted(path.name for path in (tmp_path / 'there').iterdir()) == ['new', 'real']


@pytest.mark.parametrize('kind', ['folder', 'pipe', 'link to a pipe'])
def test_what_is_no_file_is_refused_and_stays(tmp_path: Path, kind: str) -> None:
    place = tmp_path / 'place'
    if kind == 'folder':
        place.mkdir()
    else:
        os.mkfifo(tmp_path / 'pipe')
        place = tmp_path / 'pipe'
    if kind == 'link to a pipe':
        place = tmp_path / 'place'
        place.symlink_to(tmp_path / 'pipe')
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match='no regular file'):
        write_whole(place, 'new')
    assert sorted(tmp_path.iterdir()) == before
    assert place.is_dir() if kind == 'folder' else place.is_fifo()


def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path: Path) -> None:
    longest = 'x' * os.pathconf(tmp_path, 'PC_NAME_MAX')
    write_whole(tmp_path / longest, 'whole')
    assert (tmp_path / longest).read_text() == 'whole'


@pytest.mark.parametrize('lasting', [True, False])
def test_a_file_is_on_the_disk_before_it_has_its_name(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasting: bool) -> None:
    synced = []

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        assert not (tmp_path / 'file').exists()

    monkeypatch.setattr(os, 'fsync', noted)
    write_whole(tmp_path / 'file', b'whole', lasting=lasting)
    assert synced == [5] * lasting and (tmp_path / 'file').read_bytes() == b'whole'
