# SPDX-License-Identifier: Apache-2.0
"""Clocks that jump, stamps that lie: frames are served under their own stamps, and it is named."""

from __future__ import annotations

from functools import partial

import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from .conftest import image
from .test_node import counts


@pytest.fixture(scope='module')
def node(start, checkpoint):
    running = start(model=checkpoint, device='cpu')
    running.wait_for('configured')
    return running


def at(seconds: int):
    """An image captured at a whole second."""
    message = image()
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, 0
    return message


def test_a_bag_that_loops_is_served_again(node, peer):
    for second in (1000, 1001, 1002, 1000, 1001):
        assert peer.depth_of(at(second)).header.stamp.sec == second
    assert 'future' not in peer.diagnostics()['camera'].message


@pytest.mark.parametrize(('stamp', 'named'), [
    (0, 'no stamp'), (4_000_000_000, 'future'), (-7, 'is no time')])
def test_lying_stamps_are_served_and_named(node, peer, stamp, named):
    if stamp > 2**31 - 1:
        stamp = 2**31 - 1
    assert peer.depth_of(at(stamp)).header.stamp.sec == stamp
    assert named in peer.diagnostics()['camera'].message


def test_stamps_that_do_not_move_are_named(node, peer):
    for _ in range(5):
        peer.send('image', at(5000))
        peer.spin_for(0.1)
    assert 'do not move' in peer.diagnostics()['camera'].message


def test_two_publishers_on_one_topic_are_named(node, peer):
    peer.depth_of(image())
    second = peer.create_publisher(type(image()), 'image', 1)
    peer.until(lambda: second.get_subscription_count() > 0)
    peer.until(lambda: '2 publishers' in peer.diagnostics()['camera'].message)
    second.publish(image(seed=2))
    peer.destroy_publisher(second)
    peer.depth_of(image())


def test_a_silent_camera_is_named_and_welcome_back(node, peer):
    peer.depth_of(image())
    peer.until(lambda: 'no image' in peer.diagnostics()['camera'].message)
    peer.depth_of(image())
    peer.until(lambda: 'no image' not in peer.diagnostics()['camera'].message)


def test_simulated_time_may_jump_back(start, checkpoint, peer):
    simulated = start('-r', '__ns:=/simulated', model=checkpoint, device='cpu',
                      use_sim_time=True, max_age='5.0')
    simulated.wait_for('configured')
    assert peer.depth_of(at(99), '/simulated/').header.stamp.sec == 99
    simulated.wait_for('no /clock')
    for second in (100, 101, 50, 51):
        clock = Clock()
        clock.clock.sec = second
        peer.send('/clock', clock)
        peer.spin_for(0.3)
        assert peer.depth_of(at(second), '/simulated/').header.stamp.sec == second
    assert simulated.end()[0] == 0


@pytest.fixture(scope='module')
def limited(start, checkpoint):
    running = start('-r', '__ns:=/limited', model=checkpoint, device='cpu', max_rate='[5.0]')
    running.wait_for('configured')
    return running


@pytest.mark.parametrize('stamps', [
    [(0, 0)], [(7000, 0)], [(9000, 0), (5400, 0)], [(-5, 0)], [(7000, 4_000_000_000)],
    [(2**31 - 1, 0), (100, 0)]],
    ids=['no stamps', 'standing still', 'an hour back', 'negative', 'no nanoseconds', 'far ahead'])
def test_no_stamps_stop_a_camera_with_a_limited_rate(limited, peer, stamps):
    depths = peer.listen('/limited/depth/image_rect', Image)

    def served(stamp: tuple[int, int]) -> bool:
        message = image()
        message.header.stamp.sec, message.header.stamp.nanosec = stamp
        peer.send('/limited/image', message)
        peer.spin_for(0.1)
        return len(depths) >= 3

    for stamp in stamps:
        depths.clear()
        peer.until(partial(served, stamp))
        assert all(depth.header.stamp.sec == stamp[0] for depth in depths[1:])
    assert limited.process.poll() is None


def test_the_statistics_still_balance(node, peer):
    peer.spin_for(1.0)
    statistics = counts(peer)
    dropped = sum(value for key, value in statistics.items() if key.startswith('dropped_'))
    assert statistics['received'] == statistics['published'] + dropped
