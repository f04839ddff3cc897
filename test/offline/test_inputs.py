# SPDX-License-Identifier: Apache-2.0
"""The names of pictures, which those of their depth are made of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_estimation_ros.offline.inputs import names_of

from .conftest import SHAPE


@pytest.mark.parametrize(('files', 'names'), [
    (['a.jpg', 'b.jpg'], ['a', 'b']),
    (['a.jpg', 'a.png', 'b.png'], ['a.jpg', 'a.png', 'b']),
    (['a.jpg', 'a.png', 'a.jpg.png'], ['a.jpg', 'a.png', 'a.jpg.png']),
    (['a.jpg', 'a.png', 'a.jpg.png', 'a.jpg.png.png'],
     ['a.jpg', 'a.png', 'a.jpg.png', 'a.jpg.png.png']),
    (['left/a.png', 'right/a.png'], ['left/a', 'right/a']),
])
def test_every_picture_has_a_name_of_its_own(
        tmp_path: Path, files: list[str], names: list[str]) -> None:
    assert names_of([tmp_path / file for file in files]) == names


def test_no_picture_takes_the_depth_of_another(tmp_path, estimated):
    (tmp_path / 'in').mkdir()
    for number, name in enumerate(('a.jpg', 'a.png', 'a.jpg.png')):
        cv2.imwrite(str(tmp_path / 'in' / name), np.full(SHAPE, 60 * number, np.uint8))
    estimated(tmp_path / 'in', tmp_path / 'out', formats=('npy',))
    assert sorted(path.name for path in (tmp_path / 'out' / 'npy').iterdir()) == [
        'a.jpg.npy', 'a.jpg.png.npy', 'a.png.npy']


def test_a_picture_may_have_a_very_long_name(tmp_path, estimated):
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in' / f'{"x" * 245}.png'), np.zeros(SHAPE, np.uint8))
    estimated(tmp_path / 'in', tmp_path / 'out')
    assert [len(path.stem) for path in (tmp_path / 'out' / 'png').iterdir()] == [245]


def test_16_bits_are_taken_by_those_in_use(tmp_path, estimated):
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, SHAPE)
    pixels[0, 0] = 255
    for bits in 8, 12:
        (tmp_path / str(bits)).mkdir()
        stored = np.uint8(pixels) if bits == 8 else np.uint16(np.rint(pixels * 4095 / 255))
        cv2.imwrite(str(tmp_path / str(bits) / 'a.png'), stored)
        estimated(tmp_path / str(bits), tmp_path / f'out{bits}', formats=('npy',))
    np.testing.assert_array_equal(np.load(tmp_path / 'out12' / 'npy' / 'a.npy'),
                                  np.load(tmp_path / 'out8' / 'npy' / 'a.npy'))


@pytest.mark.slow
def test_neither_another_folder_nor_a_second_run_changes_the_bits_in_use(tmp_path, estimated):
    """A bright picture shows how many bits its folder has; a dark one beside it shows less."""
    dark = np.random.default_rng(5).integers(0, 200, SHAPE).astype(np.uint16)
    for folder, brightest in (('12', 4095), ('16', 65535)):
        (tmp_path / folder).mkdir()
        for name, value in (('a', brightest), ('b', 199)):
            dark[0, 0] = value
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), dark)
        estimated(tmp_path / folder, tmp_path / f'alone{folder}', formats=('npy',))
    estimated([tmp_path / '16', tmp_path / '12'], tmp_path / 'both', formats=('npy',))
    again = tmp_path / 'alone12' / 'npy' / 'b.npy'
    alone = np.load(again)
    np.testing.assert_array_equal(np.load(tmp_path / 'both' / '12' / 'npy' / 'b.npy'), alone)
    again.unlink()
    estimated(tmp_path / '12', tmp_path / 'alone12', formats=('npy',))
    np.testing.assert_array_equal(np.load(again), alone)
