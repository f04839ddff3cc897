# SPDX-License-Identifier: Apache-2.0
"""Compressed files as other programs write them, whole or damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import zstandard

from depth_estimation_ros.recordings import RecordingError, open_recording

from .bags import drive, write_mcap

SAID = drive()


@pytest.fixture
def plain(tmp_path: Path) -> bytes:
    path = write_mcap(tmp_path / 'plain', SAID)
    data = path.read_bytes()
    path.unlink()
    return data


def count(path: Path) -> int:
    recording = open_recording(path)
    assert recording.topics
    return sum(1 for _ in recording.records())


def test_a_window_as_of_zstd_long_is_unpacked(tmp_path, plain):
    options = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=options).compressobj()
    path = tmp_path / 'drive.mcap.zstd'
    path.write_bytes(packer.compress(plain) + packer.flush())
    assert count(path) == len(SAID)


def test_several_frames_are_unpacked_and_others_skipped(tmp_path, plain):
    skipped = struct.pack('<II', 0x184d2a5f, 4) + b'note'
    path = tmp_path / 'drive.mcap.zstd'
    path.write_bytes(skipped + zstandard.compress(plain[:5000]) + skipped
                     + zstandard.compress(plain[5000:]))
    assert count(path) == count(tmp_path) == len(SAID)


def test_a_folder_of_files_named_zst_is_a_recording(tmp_path, plain):
    (tmp_path / 'drive_0.mcap.zst').write_bytes(zstandard.compress(plain))
    assert count(tmp_path) == len(SAID)


def test_a_compressed_list_beside_pictures_makes_them_no_bag(tmp_path, plain):
    import cv2
    import numpy as np
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / 'labels.json.zst').write_bytes(zstandard.compress(b'{}'))
    assert count(tmp_path) == 1


FRAME = zstandard.compress(b'hello, this is text')
BLOCKS = zstandard.frame_header_size(FRAME)


@pytest.mark.parametrize(('data', 'reason'), [
    (FRAME[:BLOCKS], 'cannot be unpacked: nothing comes out of it'),
    (FRAME[:BLOCKS] + b'\xff' * 100, 'cannot be unpacked: zstd decompressor error'),
    (FRAME, 'does not begin as a .mcap file')], ids=['it breaks off', 'damaged', 'text'])
def test_a_file_of_which_nothing_can_be_read_says_why(tmp_path, data, reason):
    path = tmp_path / 'drive.mcap.zstd'
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=f'^{path} {reason}'):
        open_recording(path)


def test_a_warning_names_the_compressed_file(tmp_path, plain):
    path = tmp_path / 'drive.mcap.zstd'
    path.write_bytes(zstandard.compress(plain[:len(plain) // 2]))
    recording = open_recording(path)
    assert sum(1 for _ in recording.records())
    assert recording.warnings and all(text.startswith(str(path)) for text in recording.warnings)
