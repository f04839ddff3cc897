# SPDX-License-Identifier: Apache-2.0
"""JPEGs: no sound file refused, none decoded whose pixels libjpeg made up, no bomb unpacked."""

from __future__ import annotations

import io
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as Pil

from depth_estimation_ros.ros import jpeg
from depth_estimation_ros.ros.codec import CodecError

Pixels = NDArray[np.uint8]

MUTATIONS = 500
SEED = 1

LEAST = {'baseline': 1.0, 'progressive': 0.95}
"""The share of large damage that must be refused; after a cut in its last scan the decoder of a
progressive file can fall back into step, and nothing in the file tells."""

VISIBLE = 2.0
"""Grey levels of mean difference in a block from which on damage counts as visible."""

BLOCK = 16
LARGE = 512
"""Bytes from which on missing or repeated data must be seen."""

def smooth(height: int = 120, width: int = 160) -> Pixels:
    """Return RGB as a camera sees it: smooth colours and a little noise."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 256, (5, 7, 3)).astype(np.float32)
    noise = rng.normal(0, 2, (height, width, 3))
    return np.asarray((cv2.resize(coarse, (width, height)) + noise).clip(0, 255), np.uint8)


def by_opencv(rgb: Pixels, *, quality: int = 90, progressive: int = 0, optimize: int = 0,
              restart: int = 0) -> bytes:
    done, data = cv2.imencode('.jpg', rgb[:, :, ::-1], [
        cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive,
        cv2.IMWRITE_JPEG_OPTIMIZE, optimize, cv2.IMWRITE_JPEG_RST_INTERVAL, restart])
    assert done
    return bytes(data.tobytes())


def by_pil(rgb: Pixels, mode: str = 'RGB', **options: Any) -> bytes:
    file = io.BytesIO()
    Pil.fromarray(rgb).convert(mode).save(file, 'JPEG', **options)
    return file.getvalue()


def without(data: bytes, marker: int) -> bytes:
    """Leave out the segments of one marker before the first scan."""
    kept, place = data[:2], 2
    while data[place + 1] != jpeg.SCAN[1]:
        end = place + 2 + int.from_bytes(data[place + 2:place + 4], 'big')
        kept += b'' if data[place + 1] == marker else data[place:end]
        place = end
    return kept + data[place:]


RGB = smooth()
GREY = np.ascontiguousarray(RGB[:, :, :1])
SOUND = {
    **{f'OpenCV {p}{o}{r}': by_opencv(RGB, progressive=p, optimize=o, restart=r)
       for p, o, r in itertools.product((0, 1), (0, 1), (0, 1, 7))},
    **{f'OpenCV quality {q}': by_opencv(RGB, quality=q) for q in (1, 10, 50, 100)},
    **{f'simplejpeg {s}': simplejpeg.encode_jpeg(RGB, 85, colorsubsampling=s)
       for s in ('444', '422', '420', '440', '411', 'Gray')},
    'simplejpeg grey': simplejpeg.encode_jpeg(GREY, 85, 'GRAY', 'Gray'),
    **{f'PIL {s} {p}': by_pil(RGB, subsampling=s, progressive=p)
       for s in (0, 1, 2) for p in (False, True)},
    'PIL grey': by_pil(RGB, 'L'), 'PIL grey progressive': by_pil(RGB, 'L', progressive=True),
    'PIL CMYK': by_pil(RGB, 'CMYK'), 'PIL optimised': by_pil(RGB, optimize=True),
    'PIL restart': by_pil(RGB, restart_marker_rows=1),
    'PIL kept as RGB': by_pil(RGB, keep_rgb=True),
    'PIL odd size': by_pil(RGB[:37, :51]), 'PIL one pixel': by_pil(RGB[:1, :1]),
    'PIL comment': by_pil(RGB, comment=b'\xff\xd9\xff\xda' * 20),
    'without JFIF': without(by_opencv(RGB), 0xe0),
    'zeros after the end': by_opencv(RGB) + bytes(1000),
    'a second file after the end': by_opencv(RGB) + by_opencv(RGB)[:700],
    'an unknown version of JFIF': by_opencv(RGB)[:11] + b'\5' + by_opencv(RGB)[12:],
    'fill bytes': by_opencv(RGB).replace(b'\xff\xda', b'\xff\xff\xff\xda', 1),
    'Huffman tables left out, as UVC cameras do': without(by_opencv(RGB), 0xc4),
}


@pytest.mark.parametrize('name', SOUND)
def test_a_sound_file_is_taken_as_another_decoder_sees_it(name: str) -> None:
    data = SOUND[name]
    seen = jpeg.decode(data)
    whole = data if b'\xff\xc4' in data else by_opencv(RGB)  # PIL wants the tables
    if 'CMYK' in name:  # PIL does not take it to RGB as libjpeg does
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        expected = bgr[:, :, ::-1]
    else:
        expected = np.asarray(Pil.open(io.BytesIO(whole)))
    assert seen.shape == expected.shape
    assert np.abs(seen.astype(int) - expected).max() <= 1


@pytest.mark.parametrize('name', SOUND)
def test_without_the_library_a_sound_file_is_the_same(name: str,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    expected = jpeg.decode(SOUND[name])
    monkeypatch.setattr(jpeg, 'SIMPLEJPEG', None)
    if name != 'a second file after the end':
        assert np.abs(jpeg.decode(SOUND[name]).astype(int) - expected).max() <= 1


def scan_of(data: bytes, number: int = 0) -> int:
    """Return where the data of a scan begin."""
    place = 0
    for _ in range(number + 1):
        place = data.index(jpeg.SCAN, place) + 2
    return place + int.from_bytes(data[place:place + 2], 'big')


def test_the_damage_that_opencv_hides_is_named() -> None:
    base, restarts = by_opencv(smooth(240, 320)), by_opencv(smooth(240, 320), restart=4)
    progressive = by_opencv(smooth(240, 320), progressive=1)
    middle, late = scan_of(base) + 1500, scan_of(progressive, 9) + 300
    damaged = {
        'missing in the middle': base[:middle] + base[middle + 2000:],
        'repeated block': base[:middle + 600] + base[middle:],
        'restart markers out of order': restarts.replace(b'\xff\xd3', b'\xff\xd5'),
        'later scan cut': progressive[:late] + jpeg.END,
        'cut between two scans': progressive[:progressive.rindex(jpeg.SCAN)] + jpeg.END,
        'no end': base[:-2]}
    for name, data in damaged.items():
        if name != 'no end':
            assert cv2.imdecode(np.frombuffer(data, np.uint8), 1) is not None, name
        with pytest.raises(CodecError, match=r'damaged|breaks off'):
            jpeg.decode(data)


@pytest.mark.parametrize(('change', 'reason'), [
    (lambda data: data.replace(b'\xff\xc0\x00\x11\x08', b'\xff\xc0\x00\x11\x0c'), 'precision 12'),
    (lambda data: without(data, 0xdb), 'Quantization table'),
    (lambda data: without(data, 0xc0), 'JPEG'),
    (lambda data: data[:scan_of(data) - 8], 'JPEG'),
    (lambda data: jpeg.START + jpeg.END, 'JPEG')],
    ids=['12 bits', 'no quantization table', 'no frame', 'cut', 'nothing inside'])
def test_what_no_decoder_takes_is_named(change: Any, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        jpeg.decode(change(by_opencv(RGB)))


def test_more_scans_than_any_picture_has_are_refused_at_once() -> None:
    data = bytearray(by_opencv(RGB, progressive=1))
    size = data.index(b'\xff\xc2') + 5
    data[size:size + 4] = (8000).to_bytes(2, 'big') * 2
    last = data.rindex(jpeg.SCAN)
    bomb = bytes(data[:-2]) + bytes(data[last:last + 12]) * 1000 + jpeg.END
    with pytest.raises(CodecError, match='asks for 1010 scans'):
        jpeg.decode(bomb)


@pytest.mark.parametrize('marker', [b'\xff\xd3', b'\xff\xd9'], ids=['restart', 'end'])
def test_a_few_bytes_before_a_marker_are_told_from_other_damage(marker: bytes) -> None:
    data = by_opencv(RGB, restart=2)
    place = data.rindex(marker)
    padded = data[:place] + bytes(9) + data[place:]
    with pytest.raises(jpeg.PaddedError, match='extraneous bytes before marker 0x'):
        jpeg.decode(padded)
    assert np.array_equal(jpeg.decode(padded, padded=True), jpeg.decode(data))
    with pytest.raises(CodecError, match='extraneous') as failure:
        jpeg.decode(data[:place] + bytes(100) + data[place:], padded=True)
    assert not isinstance(failure.value, jpeg.PaddedError)


def camera_files(root: Path) -> list[tuple[str, bytes]]:
    """Return baseline and progressive files of rendered rooms with a camera's noise."""
    world = cv2.imread(str(root / 'docs' / 'images' / 'world.png'))
    assert world is not None
    rng = np.random.default_rng(SEED)
    files = []
    for top, left in ((0, 0), (100, 300), (60, 600)):
        room = cv2.resize(world[top:top + 240, left:left + 320], (480, 360))
        rgb = np.asarray((room + rng.normal(0, 2, room.shape)).clip(0, 255), np.uint8)
        files += [(kind, by_opencv(rgb, quality=quality, progressive=number))
                  for number, kind in enumerate(('baseline', 'progressive'))
                  for quality in (80, 95)]
    return files


def mutate(data: bytes, what: str, size: int, rng: random.Random) -> bytes:
    place = rng.randrange(scan_of(data), len(data) - 2 - size)
    if what == 'deleted':
        return data[:place] + data[place + size:]
    if what == 'repeated':
        return data[:place + size] + data[place:]
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1:]


def visibly_differs(one: Pixels, other: Pixels) -> bool:
    difference = np.abs(one.astype(np.int16) - other).mean(axis=2, dtype=np.float32)
    height, width = (side // BLOCK * BLOCK for side in difference.shape)
    blocks = difference[:height, :width].reshape(height // BLOCK, BLOCK, -1, BLOCK)
    return bool(blocks.mean(axis=(1, 3)).max() > VISIBLE)


def opencv_sees(data: bytes, expected: Pixels) -> bool:
    """Whether OpenCV gives nothing, or nothing that visibly differs."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return pixels is None or not visibly_differs(pixels[:, :, ::-1], expected)


def test_of_damage_that_shows_as_much_is_refused_as_libjpeg_sees(root: Path) -> None:
    rng, files = random.Random(SEED), camera_files(root)
    originals = [jpeg.decode(data) for _, data in files]
    shown: Counter[tuple[str, str]] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    for number in range(MUTATIONS):
        (kind, data), original = files[number % len(files)], originals[number % len(files)]
        what = rng.choice(('deleted', 'repeated', 'flipped'))
        size = 1 if what == 'flipped' else rng.choice((1, 16, 64, 512, 1024, 2048))
        mutated = mutate(data, what, size, rng)
        if opencv_sees(mutated, original):
            continue
        row = 'one bit flipped' if what == 'flipped' else (
            f'{LARGE} bytes or more' if size >= LARGE else 'fewer bytes')
        shown[row, kind] += 1
        try:
            jpeg.decode(mutated)
        except CodecError:
            refused[row, kind] += 1
    for row, kind in sorted(shown):
        print(f'| {row} | {kind} | {shown[row, kind]} | {refused[row, kind]} |')
    for kind in ('baseline', 'progressive'):
        assert shown[f'{LARGE} bytes or more', kind] > 50
        large = f'{LARGE} bytes or more', kind
        assert refused[large] >= LEAST[kind] * shown[large]
        assert refused['fewer bytes', kind] > 0.6 * shown['fewer bytes', kind]
        assert refused['one bit flipped', kind] > 0.3 * shown['one bit flipped', kind]
