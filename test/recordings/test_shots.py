# SPDX-License-Identifier: Apache-2.0
"""A camera as a stream of moments: what belongs to each, and what is strange about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from depth_estimation_ros.recordings import (
    Camera,
    Record,
    Recording,
    Shot,
    open_recording,
    shots,
)
from depth_estimation_ros.recordings.shots import MOST, MOST_IMAGES, stamp_of

from .bags import START, Said, image, info, write_mcap

CAMERA = Camera('/cam/image_raw', '/cam/camera_info', '/cam/depth')
MILLISECOND = 1_000_000


def colour(time: int, value: int = 0, recorded: int | None = None, **options: str) -> Said:
    said = image(np.full((4, 6, 3), value, np.uint8), 'bgr8', time, **options)
    return said._replace(time=time if recorded is None else recorded)


def depth(time: int, recorded: int | None = None) -> Said:
    said = image(np.full((4, 6), 1000, np.uint16), '16UC1', time, topic='/cam/depth')
    return said._replace(time=time if recorded is None else recorded)


def written(path: Path, said: list[Said]) -> Recording:
    return open_recording(write_mcap(path / 'drive.mcap', said))


def pairs(made: list[Shot]) -> list[int | None]:
    """Milliseconds from each image to its depth."""
    return [None if shot.truth is None else round(
        (stamp_of(shot.truth.message) - stamp_of(shot.image.message)) / MILLISECOND)
        for shot in made]


def test_depth_is_paired_by_the_nearest_stamp_within_tolerance(tmp_path):
    said = [colour(START + number * 100 * MILLISECOND) for number in range(5)]
    said += [depth(START + offset * MILLISECOND) for offset in (-8, 2, 119, 221, 379, 400)]
    assert pairs(list(shots(written(tmp_path, said), CAMERA))) == [2, 19, None, None, 0]


def test_depth_that_was_recorded_late_is_waited_for(tmp_path):
    said = [one for number in range(20) for one in (
        colour(START + number * 33 * MILLISECOND),
        depth(START + number * 33 * MILLISECOND, START + (number * 33 + 150) * MILLISECOND))]
    assert pairs(list(shots(written(tmp_path, said), CAMERA))) == [0] * 20


@pytest.mark.parametrize('late', [-600, -300, 300, 600])
@pytest.mark.parametrize('rates', [(2, 2), (5, 5), (30, 30), (30, 2), (2, 30)])
def test_what_is_recorded_late_is_paired(tmp_path: Path, rates: tuple[int, int],
                                         late: int) -> None:
    """The truth is late by so many milliseconds; where that is below 0, the images are."""
    image_times, truth_times = ([START + number * 10**9 // rate for number in range(4 * rate)]
                                for rate in rates)
    said = [colour(time, recorded=time - min(late, 0) * MILLISECOND) for time in image_times]
    said += [depth(time, time + max(late, 0) * MILLISECOND) for time in truth_times]
    made = list(shots(written(tmp_path, said), Camera('/cam/image_raw', truth='/cam/depth')))
    assert [stamp_of(shot.image.message) for shot in made] == image_times
    for shot in made:
        stamp = stamp_of(shot.image.message)
        assert stamp not in truth_times or (shot.truth and stamp_of(shot.truth.message) == stamp)


def test_late_images_are_paired_though_their_stamps_jump_back(tmp_path):
    said = []
    for number in range(60):
        recorded = START + number * 33 * MILLISECOND
        stamp = recorded - (10**10 if number >= 30 else 0)
        said += [colour(stamp, recorded=recorded + 300 * MILLISECOND), depth(stamp, recorded)]
    assert pairs(list(shots(written(tmp_path, said), CAMERA))) == [0] * 60


def test_where_stamps_are_zero_the_times_of_recording_decide(tmp_path):
    times = [START + number * 33 * MILLISECOND for number in range(3 * MOST)]
    said = [one for time in times for one in (depth(0, time), colour(0, recorded=time))]
    made = list(shots(written(tmp_path, said), CAMERA))
    assert [shot.truth and shot.truth.time for shot in made] == times


def test_an_image_does_not_wait_for_ever(tmp_path):
    said = [colour(START + number * 33 * MILLISECOND) for number in range(200)]
    said.append(depth(START, START + 199 * 33 * MILLISECOND))
    recording = written(tmp_path, said)
    assert read_before_the_first_shot(recording) == MOST_IMAGES + 1
    assert len(list(shots(recording, CAMERA))) == 200


def test_an_image_does_not_wait_once_later_truth_is_there(tmp_path):
    said = [colour(START + number * 33 * MILLISECOND) for number in range(30)]
    said.append(depth(START + 50 * MILLISECOND, START + 60 * MILLISECOND))
    camera = Camera('/cam/image_raw', truth='/cam/depth')
    assert read_before_the_first_shot(written(tmp_path, said), camera) == 3


def read_before_the_first_shot(recording: Recording, camera: Camera = CAMERA) -> int:
    """Count the records that the first shot takes."""
    records, count = recording.records, 0

    def counting(topics: list[str]) -> Iterator[Record]:
        nonlocal count
        for record in records(topics):
            count += 1
            yield record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, 'records', counting)
        next(shots(recording, camera))
    return count


def test_a_clock_that_stands_still_does_not_fill_the_memory(tmp_path):
    said = [colour(0, number % 256) for number in range(3 * MOST)]
    recording = written(tmp_path, said)
    assert read_before_the_first_shot(recording) <= MOST_IMAGES + 2
    made = list(shots(recording, CAMERA))
    assert [int(shot.image.message.data[0]) for shot in made] == [
        number % 256 for number in range(3 * MOST)]


def test_each_image_gets_the_calibration_of_its_moment(tmp_path):
    said = [one for number in range(6) for one in (
        colour(START + number * 33 * MILLISECOND),
        info(START + number * 33 * MILLISECOND, fx=500.0 + number))]
    made = list(shots(written(tmp_path, said), Camera('/cam/image_raw', '/cam/camera_info')))
    assert [shot.info and shot.info.message.k[0] for shot in made] == [
        500.0 + number for number in range(6)]


def test_a_calibration_that_was_published_once_holds_for_all(tmp_path):
    said = [info(START)] + [colour(START + number * 10**9) for number in range(10)]
    made = list(shots(written(tmp_path, said), Camera('/cam/image_raw', '/cam/camera_info')))
    assert [shot.info and shot.info.message.k[0] for shot in made] == [500.0] * 10


def test_images_out_of_order_and_doubled_are_served_and_named(tmp_path):
    stamps = [0, 1, 3, 2, 4, 4, 5]
    said = [colour(START + stamp * 10**8, stamp, START + number * 10**8)
            for number, stamp in enumerate(stamps)]
    recording = written(tmp_path, said)
    made = list(shots(recording, Camera('/cam/image_raw')))
    assert [int(shot.image.message.data[0]) for shot in made] == stamps
    assert sorted(text.split(': ')[-1] for text in recording.warnings) == [
        '1 images have an earlier stamp than the one before',
        '1 images have the stamp of the one before']


def test_a_topic_that_changes_is_served_and_named(tmp_path):
    said = [colour(START), colour(START + 10**8, frame='other'),
            image(np.zeros((8, 6, 3), np.uint8), 'bgr8', START + 2 * 10**8),
            image(np.zeros((8, 6), np.uint8), 'mono8', START + 3 * 10**8)]
    recording = written(tmp_path, said)
    assert len(list(shots(recording, Camera('/cam/image_raw')))) == 4
    said_of_it = '\n'.join(recording.warnings)
    assert "frame 'optical', then 6x4 bgr8 in frame 'other'" in said_of_it
    assert "6x4 bgr8 in frame 'other', then 6x8 bgr8" in said_of_it
    assert '6x8 mono8' in said_of_it
