# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos as recordings."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_estimation_ros.recordings import (
    Camera,
    RecordingError,
    find_cameras,
    open_recording,
    shots,
)


def folder_of(path: Path, count: int = 12, suffix: str = '.png') -> Path:
    path.mkdir()
    for number in range(count):
        pixels = np.full((6, 8, 3), number * 10, np.uint8)
        cv2.imwrite(str(path / f'frame_{number}{suffix}'), pixels)
    return path


def levels(source: Path | str) -> list[int]:
    """Return the first value of each image."""
    recording = open_recording(source)
    camera, = find_cameras(recording)
    assert camera == Camera('/image')
    return [int(shot.image.message.data[0]) for shot in shots(recording, camera)]


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.PNG', '.tiff'])
def test_a_folder_in_the_order_of_its_numbers(tmp_path, suffix):
    folder = folder_of(tmp_path / 'pictures', suffix=suffix)
    (folder / 'notes.txt').write_text('not a picture')
    assert levels(folder) == [number * 10 for number in range(12)]


def test_a_glob_and_a_single_picture(tmp_path):
    folder = folder_of(tmp_path / 'pictures')
    assert levels(f'{folder}/frame_1*.png') == [10, 100, 110]
    assert levels(f'{tmp_path}/**/frame_?.png') == [number * 10 for number in range(10)]
    assert levels(folder / 'frame_3.png') == [30]


def test_a_picture_is_an_image_message_with_stamps_that_grow(tmp_path):
    recording = open_recording(folder_of(tmp_path / 'pictures'))
    messages = [record.message for record in recording.records()]
    first = messages[0]
    assert (first.height, first.width, first.encoding, first.step) == (6, 8, 'bgr8', 24)
    stamps = [(message.header.stamp.sec, message.header.stamp.nanosec) for message in messages]
    assert stamps == sorted(set(stamps))
    assert recording.count('/image') == 12


def test_a_picture_that_cannot_be_read_is_passed_over_and_named(tmp_path):
    folder = folder_of(tmp_path / 'pictures')
    (folder / 'frame_4.png').write_bytes(b'no picture')
    (folder / 'frame_6.png').write_bytes(b'')
    recording = open_recording(folder)
    assert len(list(recording.records())) == 10
    assert [name in ' '.join(recording.warnings) for name in ('frame_4.png', 'frame_6.png')]


def test_a_picture_that_claims_an_absurd_size_is_passed_over_and_named(tmp_path):
    folder = folder_of(tmp_path / 'pictures')
    bitmap = bytearray(cv2.imencode('.bmp', np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    bitmap[18:26] = struct.pack('<ii', 65000, 65000)
    (folder / 'frame_4.bmp').write_bytes(bitmap)
    recording = open_recording(folder)
    assert len(list(recording.records())) == 12
    assert 'frame_4.bmp is passed over' in recording.warnings[0]
    with pytest.raises(RecordingError, match='no picture that OpenCV can read'):
        find_cameras(open_recording(folder / 'frame_4.bmp'))


@pytest.mark.parametrize(('suffix', 'channels'), [('.png', 1), ('.png', 3), ('.tiff', 3)])
def test_16_bits_stay_16_bits(tmp_path, suffix, channels):
    stored = np.arange(48 * channels, dtype=np.uint16).reshape(6, 8, channels) * 80
    cv2.imwrite(str(tmp_path / f'a{suffix}'), stored)
    message, = (record.message for record in open_recording(tmp_path).records())
    assert (message.encoding, message.step, message.is_bigendian) == ('bgr16', 48, 0)
    np.testing.assert_array_equal(message.data.view('<u2').reshape(6, 8, 3),
                                  np.broadcast_to(stored, (6, 8, 3)))


@pytest.mark.parametrize('suffix', ['.webp', '.tiff', '.gif'])
def test_a_file_of_several_pictures_is_named(tmp_path, suffix):
    pages = [Image.fromarray(np.full((48, 64, 3), 40 * number, np.uint8)) for number in range(5)]
    pages[0].save(tmp_path / f'a{suffix}', save_all=True, append_images=pages[1:])
    recording = open_recording(tmp_path / f'a{suffix}')
    assert len(list(recording.records())) == 1
    assert f'a{suffix} holds 5 pictures, of which the first is taken' in recording.warnings[0]


def test_a_digit_that_is_no_number_is_part_of_a_name(tmp_path):
    folder = folder_of(tmp_path / 'pictures', 2)
    (folder / 'frame_1.png').rename(folder / 'frame_1²2.png')
    assert levels(folder) == [0, 10]


def test_a_folder_of_broken_pictures_is_named(tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'no picture')
    with pytest.raises(RecordingError, match='no picture that OpenCV can read'):
        find_cameras(open_recording(tmp_path))


def test_a_pattern_that_matches_nothing_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r'nothing\*\.png does not exist'):
        open_recording(f'{tmp_path}/nothing*.png')


def video_of(path: Path, codec: str, count: int = 20) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for number in range(count):
        writer.write(np.full((48, 64, 3), number * 12, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(('suffix', 'codec'), [
    ('.avi', 'MJPG'), ('.mp4', 'mp4v'), ('.mkv', 'MJPG'), ('.odd', 'MJPG')])
def test_a_video_at_its_own_times(tmp_path, suffix, codec):
    path = video_of(tmp_path / f'drive{".avi" if suffix == ".odd" else suffix}', codec)
    path = path.rename(path.with_suffix(suffix))
    found = levels(path)
    assert np.abs(np.array(found) - np.arange(20) * 12).max() < 8
    times = [record.time for record in open_recording(path).records()]
    assert np.abs(np.diff(times) - 10**8).max() < 2_000_000


def test_a_name_with_a_colon_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video_of(tmp_path / 'drive.mp4', 'mp4v', 3).rename('2024-05-01T10:00:00.mp4')
    assert len(levels('2024-05-01T10:00:00.mp4')) == 3


def test_an_estimated_count_of_frames_is_not_compared(tmp_path):
    av = pytest.importorskip('av')
    path = tmp_path / 'drive.mkv'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mjpeg', rate=30, width=64, height=48,
                                      pix_fmt='yuvj420p')
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in (0, 33, 66, 100, 133, 166, 5000):  # a camera that stood still
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), 'rgb24')
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    recording = open_recording(path)
    assert len(list(recording.records())) == 7 and not recording.warnings


def test_a_video_that_breaks_off_is_read_up_to_there(tmp_path):
    path = video_of(tmp_path / 'drive.mkv', 'MJPG')
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 3 // 4])
    recording = open_recording(path)
    count = sum(1 for _ in recording.records())
    assert 4 < count < 20
    assert not recording.warnings or f'{count} can be read' in recording.warnings[0]


def test_what_lies_behind_damage_is_read(tmp_path):
    path = h264_of(tmp_path / 'drive.mp4', 60)
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third:third + 800] = b'\xff' * 800
    path.write_bytes(content)
    recording = open_recording(path)
    times = [record.time for record in recording.records()]
    assert 50 < len(times) < 60 and times[-1] == 59 * 10**8
    assert times == sorted(set(times))
    assert f'{60 - len(times)} are damaged, cut off or empty' in recording.warnings[0]


def test_frames_without_times_come_at_the_frame_rate(tmp_path):
    recording = open_recording(h264_of(tmp_path / 'drive.h264', 12))
    times = [record.time for record in recording.records()]
    period, = set(np.diff(times).tolist())
    assert times[0] == 0 and period > 0
    assert f'taken to come {10**9 / period:.4g} times a second' in recording.warnings[0]


def h264_of(path: Path, count: int) -> Path:
    av = pytest.importorskip('av')
    rng = np.random.default_rng(1)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10, width=320, height=240,
                                      pix_fmt='yuv420p')
        for number in range(count):
            pixels = np.full((240, 320, 3), number * 4, np.uint8)
            pixels[:20, :20] = rng.integers(0, 256, (20, 20, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, 'rgb24')))
        container.mux(stream.encode(None))
    return path


def test_a_file_that_is_no_video_is_named(tmp_path):
    path = tmp_path / 'drive.mp4'
    path.write_bytes(b'nothing of a video' * 100)
    with pytest.raises(RecordingError, match=r'drive\.mp4 is not a video that OpenCV can read'):
        open_recording(path)
