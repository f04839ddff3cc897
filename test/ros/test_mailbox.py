# SPDX-License-Identifier: Apache-2.0
"""The mailboxes: the newest frame of each camera, the longest wait first, never a queue."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from depth_estimation_ros.ros.mailbox import Frame, Mailboxes

PATIENCE = 20.0


def frame(camera: str, stamp: float, message: Any = None) -> Frame:
    return Frame(camera, message, stamp, stamp + 0.01)


def taken(boxes: Mailboxes, count: int) -> list[str]:
    """Return the cameras whose frames are taken."""
    frames = boxes.take(count)
    assert frames is not None
    return [frame.camera for frame in frames]


def in_thread(function: Callable[[], Any]) -> Callable[[], Any]:
    """Start a function in a thread; return a function that waits for its result."""
    results: list[Any] = []
    thread = Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(PATIENCE)
        assert not thread.is_alive(), 'it still waits'
        return results[0]
    return result


def test_a_frame_is_taken_once() -> None:
    boxes = Mailboxes()
    first, second = frame('front', 1.0), frame('front', 2.0)
    assert boxes.put(first) is None
    assert boxes.take(8) == [first]
    assert boxes.put(second) is None
    assert boxes.take(8) == [second]


def test_nothing_is_waited_for_unless_asked() -> None:
    boxes, first = Mailboxes(), frame('front', 1.0)
    assert boxes.take(8, wait=False) == []
    boxes.put(first)
    assert boxes.take(8, wait=False) == [first]
    assert boxes.take(8, wait=False) == []


def test_a_newer_frame_pushes_the_older_one_out() -> None:
    boxes = Mailboxes()
    frames = [frame('front', float(stamp)) for stamp in range(5)]
    assert [boxes.put(each) for each in frames] == [None, *frames[:-1]]
    assert boxes.take(8) == [frames[-1]]


def test_the_frame_received_last_counts_even_if_its_stamp_is_older() -> None:
    boxes = Mailboxes()
    before, after = frame('front', 100.0), frame('front', 3.0)
    boxes.put(before)
    assert boxes.put(after) is before
    assert boxes.take(8) == [after]


def test_cameras_do_not_push_each_other_out() -> None:
    boxes = Mailboxes()
    assert [boxes.put(frame(name, 1.0)) for name in ('front', 'rear', 'left')] == [None] * 3
    assert sorted(taken(boxes, 8)) == ['front', 'left', 'rear']


def test_the_cameras_that_wait_longest_come_first_and_no_more_than_the_limit() -> None:
    boxes = Mailboxes()
    for name, stamp in (('a', 5.0), ('b', 2.0), ('c', 4.0), ('d', 3.0)):
        boxes.put(frame(name, stamp))
    boxes.put(frame('a', 9.0))
    assert taken(boxes, 3) == ['a', 'b', 'c']
    assert taken(boxes, 3) == ['d']


@pytest.mark.parametrize('stamp', [0.0, 1e9], ids=['no stamps', 'a clock far ahead'])
def test_no_camera_starves_whatever_its_stamps(stamp: float) -> None:
    boxes = Mailboxes()
    served = []
    for now in range(100, 106):
        boxes.put(frame('odd', stamp))
        boxes.put(frame('sound', float(now)))
        served += taken(boxes, 1)
    assert served.count('odd') == served.count('sound') == 3


def test_the_taker_waits_for_a_frame() -> None:
    boxes = Mailboxes()
    taken = in_thread(lambda: boxes.take(8))
    late = frame('front', 1.0)
    boxes.put(late)
    assert taken() == [late]


@pytest.mark.parametrize('waits', [True, False])
def test_a_closed_mailbox_lets_the_taker_go(waits: bool) -> None:
    boxes = Mailboxes()
    taken = in_thread(lambda: boxes.take(8)) if waits else lambda: boxes.take(8)
    assert boxes.close() == []
    assert taken() is None


def test_closing_returns_what_nobody_took() -> None:
    boxes = Mailboxes()
    frames = [frame('front', 1.0), frame('rear', 2.0)]
    for each in frames:
        boxes.put(each)
    assert sorted(boxes.close(), key=lambda left: left.stamp) == frames
    assert boxes.take(8) is None and boxes.close() == []


def test_waking_ends_one_wait_without_a_frame() -> None:
    boxes, first = Mailboxes(), frame('front', 1.0)
    taken = in_thread(lambda: boxes.take(8))
    boxes.wake()
    assert taken() == []
    boxes.put(first)
    assert boxes.take(8) == [first]
    boxes.wake()
    assert boxes.take(8, wait=False) == [] and boxes.take(8) == []  # only a wait is ended
