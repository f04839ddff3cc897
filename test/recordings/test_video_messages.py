# SPDX-License-Identifier: Apache-2.0
"""Images that were recorded as the packets of a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from tqdm import tqdm

from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.network import NetworkOptions
from depth_estimation_ros.offline.process import process_bag
from depth_estimation_ros.recordings import (
    RecordingError,
    Shot,
    find_cameras,
    open_recording,
    shots,
    stamp_of,
    video_messages,
)
from depth_estimation_ros.recordings.types import COMMON, COMPRESSED_VIDEO, FFMPEG_PACKET
from depth_estimation_ros.recordings.video_messages import codec_of

from . import bags
from .bags import PERIOD, START, Said, header, info, write_mcap, write_rosbag2

av = pytest.importorskip('av', reason='PyAV is not installed')

COUNT, HEIGHT, WIDTH = 24, 96, 128
TOPIC = '/cam/image_raw/ffmpeg'


@pytest.fixture(autouse=True)
def types(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bags' writers know the two types too."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for kind, text in COMMON.items():
        store.register(get_types_from_msg(text, kind))
    monkeypatch.setattr(bags, 'TYPES', store)
    return store


def pictures() -> np.ndarray:
    """A gradient that drifts, with a number of each picture in its brightness."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.stack([np.stack([rows + number, columns, 40 + 8 * number + 0 * rows], -1)
                     for number in range(COUNT)]).clip(0, 255).astype(np.uint8)


def packets(encoder: str, **options: str) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each picture and its packet, in the order of the packets."""
    codec = av.CodecContext.create(encoder, 'w')
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
    codec.time_base, codec.gop_size = Fraction(1, 30), 8
    codec.options = {'preset': 'ultrafast', **options}
    for number, pixels in enumerate(pictures()):
        frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
        frame.pts = number
        yield from ((packet.pts, bytes(packet)) for packet in codec.encode(frame))
    yield from ((packet.pts, bytes(packet)) for packet in codec.encode(None))


def video(types: Any, kind: str, encoder: str, named: str, **options: str) -> list[Said]:
    said: list[Said] = []
    for order, (number, data) in enumerate(packets(encoder, **options)):
        time, raw = START + number * PERIOD, np.frombuffer(data, np.uint8)
        if kind == COMPRESSED_VIDEO:
            message = types.types[kind](header(time).stamp, 'optical', raw, named)
        else:
            message = types.types[kind](header(time), WIDTH, HEIGHT, named, number, 0, False, raw)
        said += [Said(TOPIC, kind, START + order * PERIOD, message), info(time)]
    return said


def seen(path: Path) -> tuple[list[Shot], list[str]]:
    recording = open_recording(path)
    camera, = find_cameras(recording)
    assert camera.image == TOPIC
    return list(shots(recording, camera)), recording.warnings


def error(shot: Shot) -> float:
    message = shot.image.message
    number = round((stamp_of(message) - START) / PERIOD)
    assert (message.encoding, message.height, message.width) == ('rgb8', HEIGHT, WIDTH)
    found = message.data.reshape(HEIGHT, WIDTH, 3).astype(int)
    return float(np.abs(found - pictures()[number]).mean())


@pytest.mark.parametrize(('kind', 'encoder', 'named'), [
    (COMPRESSED_VIDEO, 'libx264', 'h264'), (COMPRESSED_VIDEO, 'libx265', 'h265'),
    (COMPRESSED_VIDEO, 'libvpx-vp9', 'vp9'), (FFMPEG_PACKET, 'libx264', 'h264_nvenc'),
    (FFMPEG_PACKET, 'libx265', 'hevc;yuv420p;bgr8;bgr8')])
@pytest.mark.parametrize('writer', [write_mcap, write_rosbag2])
def test_every_packet_becomes_its_picture(tmp_path, types, kind, encoder, named, writer) -> None:
    options = {} if encoder == 'libvpx-vp9' else {'tune': 'zerolatency'}
    path = tmp_path / ('bag.mcap' if writer is write_mcap else 'bag')
    found, warnings = seen(writer(path, video(types, kind, encoder, named, **options)))
    assert [stamp_of(shot.image.message) for shot in found] == [
        START + number * PERIOD for number in range(COUNT)]
    assert max(map(error, found)) < 6 and not warnings
    assert all(shot.info is not None and stamp_of(shot.info.message) == stamp_of(
        shot.image.message) for shot in found)


def test_pictures_that_an_encoder_reorders_keep_their_stamps(tmp_path, types) -> None:
    said = video(types, FFMPEG_PACKET, 'libx264', 'h264', preset='medium', bf='3')
    order = [one.message.pts for one in said if one.topic == TOPIC]
    assert order != sorted(order)
    found, _ = seen(write_mcap(tmp_path / 'bag.mcap', said))
    assert sorted(stamp_of(shot.image.message) for shot in found) == [
        START + number * PERIOD for number in range(COUNT)]
    assert max(map(error, found)) < 6


def test_what_begins_within_a_group_of_pictures_is_counted_until_its_key_frame(
        tmp_path, types) -> None:
    said = video(types, COMPRESSED_VIDEO, 'libx264', 'h264', tune='zerolatency')
    recording = open_recording(write_mcap(tmp_path / 'bag.mcap', said[2 * 3:]))
    broken: list[str] = []
    found = list(shots(recording, find_cameras(recording)[0],
                       lambda record, reason: broken.append(reason)))
    assert len(found) + len(broken) == COUNT - 3
    first = round((stamp_of(found[0].image.message) - START) / PERIOD)
    assert first == 8 and max(map(error, found)) < 6
    assert len(broken) == 5 and all('picture' in reason for reason in broken)


def test_a_damaged_packet_costs_no_more_than_its_group(tmp_path, types) -> None:
    said = video(types, COMPRESSED_VIDEO, 'libx264', 'h264', tune='zerolatency')
    said[2 * 10].message.data = np.zeros(40, np.uint8)
    recording = open_recording(write_mcap(tmp_path / 'bag.mcap', said))
    broken: list[str] = []
    found = list(shots(recording, find_cameras(recording)[0],
                       lambda record, reason: broken.append(reason)))
    assert len(found) + len(broken) == COUNT and 1 <= len(broken) <= 6
    assert max(error(shot) for shot in found
               if not 10 <= (stamp_of(shot.image.message) - START) / PERIOD < 16) < 6


@pytest.mark.parametrize(('named', 'codec'), [
    ('h264', 'h264'), ('libx264', 'h264'), ('hevc_vaapi', 'hevc'), ('H265', 'hevc'),
    ('av1', 'av1'), ('avc1', 'h264')])
def test_a_codec_goes_by_many_names(types, named: str, codec: str) -> None:
    message = types.types[COMPRESSED_VIDEO](header(START).stamp, '', np.zeros(0, np.uint8), named)
    assert codec_of(message) == codec


def test_what_cannot_be_decoded_here_is_named(tmp_path, types, monkeypatch) -> None:
    said = video(types, COMPRESSED_VIDEO, 'libx264', 'h264', tune='zerolatency')
    path = write_mcap(tmp_path / 'bag.mcap', said)
    for one in said[::2]:
        one.message.format = 'mjpeg2000'
    other = write_mcap(tmp_path / 'other.mcap', said)
    with pytest.raises(RecordingError, match='no video codec known here'):
        find_cameras(open_recording(other))
    monkeypatch.setattr(video_messages, 'find_spec',
                        lambda name: None if name == 'av' else find_spec(name))
    with pytest.raises(RecordingError, match='pip install av'):
        find_cameras(open_recording(path))


def test_a_bag_of_video_becomes_one_with_depth(tmp_path, types, checkpoint) -> None:
    said = video(types, COMPRESSED_VIDEO, 'libx264', 'h264', tune='zerolatency')
    source = write_mcap(tmp_path / 'bag.mcap', said)
    accounts, _ = process_bag(
        str(source), tmp_path / 'out', ProcessOptions(part=0.2),
        NetworkOptions(model=str(checkpoint), device='cpu', backend='torch'),
        progress=tqdm(disable=True))
    assert (accounts[TOPIC].published, accounts[TOPIC].dropped) == (COUNT, {})
    made = open_recording(tmp_path / 'out')
    assert made.channels['/cam/depth/image_rect'].count == COUNT
    kept = [record.data for record in made.records([TOPIC])]
    assert kept == [record.data for record in open_recording(source).records([TOPIC])]
