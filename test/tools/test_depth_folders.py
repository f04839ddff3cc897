# SPDX-License-Identifier: Apache-2.0
"""Folders of images, truth and predictions: what is read of them, and what is passed over."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_estimation_ros.offline.formats import FORMATS
from depth_estimation_ros.recordings import RecordingError
from depth_estimation_ros.ros.bits import BitsInUse
from depth_estimation_ros.tools import evaluate
from depth_estimation_ros.tools.depth_folders import files_in, read_depth, read_rgb

SHAPE = (48, 64)
METRES = np.random.default_rng(3).uniform(1, 5, SHAPE).astype(np.float32)
MILLIMETRES = np.rint(1000 * METRES).astype(np.uint16)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three predictions that are 10 % off their truth."""
    for name in 'predicted', 'truth':
        (tmp_path / name).mkdir()
    for number in range(3):
        np.save(tmp_path / 'predicted' / f'{number}.npy', np.float32(0.0011) * MILLIMETRES)
        cv2.imwrite(str(tmp_path / 'truth' / f'{number}.png'), MILLIMETRES)
    return tmp_path


@pytest.fixture
def run(folders: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, int, str]]:
    """Evaluate them; return the code, the images with truth that were compared, and stderr."""
    def run() -> tuple[int, int, str]:
        predicted, truth, output = (str(folders / name)
                                    for name in ('predicted', 'truth', 'output'))
        code = evaluate.main([predicted, '--prediction', predicted, '--depth', truth,
                              '--convention', 'nyu', '--output', output])
        errors = capsys.readouterr().err
        if code:
            return code, 0, errors
        figures = json.loads((folders / 'output' / 'evaluation.json').read_text())
        whole = figures['errors']['not_aligned']['pooled']['all']
        assert whole['abs_rel'] == pytest.approx(0.1, abs=1e-3)
        return code, figures['images'], errors
    return run


def absurd_png() -> bytes:
    """A PNG that declares 100000×100000 pixels."""
    chunks = ((b'IHDR', struct.pack('>IIBBBBB', 100_000, 100_000, 16, 0, 0, 0, 0)),
              (b'IDAT', zlib.compress(bytes(100))), (b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        for name, data in chunks)


NPY = FORMATS['npy'][1](METRES)
DAMAGE = {'cut off': ('predicted/1.npy', NPY[:200]), 'empty': ('predicted/1.npy', b''),
          'damaged header': ('predicted/1.npy', NPY.replace(b'64)', b'64(', 1)),
          'absurd size': ('truth/1.png', absurd_png()), 'no truth': ('truth/1.png', b'no picture')}


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_broken_file_is_named_and_the_rest_compared(folders, run, damage) -> None:
    file, content = DAMAGE[damage]
    (folders / file).write_bytes(content)
    code, images, errors = run()
    assert (code, images) == (0, 2), errors
    assert sum(line.startswith(f'evaluate: {folders / file} ')
               for line in errors.splitlines()) == 1


@pytest.mark.parametrize('folder', ['predicted', 'truth'])
def test_a_folder_of_broken_files_is_one_line(folders, run, folder) -> None:
    for file in (folders / folder).iterdir():
        file.write_bytes(b'broken')
    code, _, errors = run()
    assert code == 1 and f'{folders / folder}/0.' in errors.splitlines()[-1]
    assert sum(line.startswith('evaluate: ') for line in errors.splitlines()) == 1
    assert not (folders / 'output').exists()


@pytest.mark.parametrize('kind', ['npy', 'npz', 'pfm', 'exr'])
def test_what_estimate_writes_is_evaluated(folders, run, kind) -> None:
    if kind == 'exr':
        pytest.importorskip('OpenEXR')
    for file in list((folders / 'predicted').iterdir()):
        depth = np.load(file)
        file.unlink()
        file.with_suffix(f'.{kind.upper()}').write_bytes(FORMATS[kind][1](depth))
    assert run()[:2] == (0, 3)


@pytest.mark.parametrize('stored', [
    MILLIMETRES.astype(np.int32), MILLIMETRES.astype(np.int64), MILLIMETRES[:, :, np.newaxis],
    (MILLIMETRES / 1000)[:, :, np.newaxis]], ids=['int32', 'int64', 'a channel', 'floats'])
def test_arrays_may_be_of_any_numbers_and_have_a_channel(tmp_path, stored) -> None:
    if stored.dtype.kind == 'i':
        stored[0, :2] = 0, -1
    np.save(tmp_path / 'a.npy', stored)
    found = read_depth(tmp_path / 'a.npy', 1000)
    assert np.isnan(found[0, :2]).all() == (stored.dtype.kind == 'i')
    np.testing.assert_allclose(found[1:], METRES[1:], atol=0.001)


@pytest.mark.parametrize('stored', [np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.bool_),
                                    np.zeros((*SHAPE, 2), np.float32)])
def test_bytes_and_colours_are_no_depth(tmp_path, stored) -> None:
    np.save(tmp_path / 'a.npy', stored)
    with pytest.raises(RecordingError, match='is no depth'):
        read_depth(tmp_path / 'a.npy', 1000)


def test_what_macos_leaves_beside_a_file_is_no_file(folders, run) -> None:
    for folder in 'predicted', 'truth':
        (folders / folder / '._1.png').write_bytes(b'\0\5\x16\7')
    assert len(files_in(folders / 'truth')) == 3
    assert run()[:2] == (0, 3)


def test_pictures_of_12_bits_are_as_bright_as_those_of_8(tmp_path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (*SHAPE, 3))
    pixels[0, 0] = 255
    cv2.imwrite(str(tmp_path / 'a.png'), pixels.astype(np.uint8))
    cv2.imwrite(str(tmp_path / 'b.png'), np.rint(pixels * 4095 / 255).astype(np.uint16))
    bits = BitsInUse('')
    np.testing.assert_array_equal(read_rgb(tmp_path / 'b.png', bits),
                                  read_rgb(tmp_path / 'a.png', bits))
    (tmp_path / 'c.png').write_bytes(absurd_png())
    with pytest.raises(RecordingError, match=r'c\.png cannot be read as a picture: '):
        read_rgb(tmp_path / 'c.png', bits)
