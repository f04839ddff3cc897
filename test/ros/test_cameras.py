# SPDX-License-Identifier: Apache-2.0
"""Many cameras in one process: each under its own prefix, fair, and none harmed by another."""

from __future__ import annotations

import copy

import pytest

from .conftest import image

CAMERAS = {
    'front': image(48, 64), 'rear': image(60, 48, 'bgr8'), 'left': image(48, 64, 'mono8', 1),
    'right': image(96, 128, 'rgba8', 4), 'up': image(48, 64, 'bayer_grbg8', 1),
    'down': image(40, 90, 'yuv422', 2), 'near': image(33, 47, padding=3),
    'wide': image(64, 48, 'mono16', 2),
}


@pytest.fixture(scope='module')
def node(start, checkpoint):
    running = start('-r', '__ns:=/rig', model=checkpoint, device='cpu',
                    cameras=str(list(CAMERAS)))
    running.wait_for('configured')
    return running


def fresh(name: str):
    """The camera's image under a new stamp and its own frame_id."""
    message, template = image(), CAMERAS[name]
    template.header.stamp, template.header.frame_id = message.header.stamp, name
    return template


@pytest.mark.slow
def test_eight_cameras_of_mixed_size_and_encoding_are_served(node, peer):
    for name in CAMERAS:
        sent = fresh(name)
        depth = peer.depth_of(sent, f'/rig/{name}/')
        assert depth.header.frame_id == name
        assert (depth.height, depth.width) == (sent.height, sent.width)


def test_a_burst_from_all_is_answered_by_all(node, peer):
    depths = {}
    for name in CAMERAS:
        peer.depth_of(fresh(name), f'/rig/{name}/')
        depths[name] = peer.seen[f'/rig/{name}/depth/image_rect']
        depths[name].clear()
    for _ in range(10):
        for name in CAMERAS:
            peer.send(f'/rig/{name}/image', fresh(name))
        peer.spin_for(0.1)
    peer.until(lambda: all(depths.values()))


def test_one_that_sends_rubbish_disturbs_no_other(node, peer):
    peer.depth_of(fresh('front'), '/rig/front/')
    rubbish = copy.deepcopy(fresh('front'))
    rubbish.step = 1
    for name in ('rear', 'left', 'wide'):
        peer.depth_of(fresh(name), f'/rig/{name}/')
        for _ in range(3):
            peer.send('/rig/front/image', rubbish)
        peer.depth_of(fresh(name), f'/rig/{name}/')
    statuses = peer.diagnostics()
    front = {pair.key: pair.value for pair in statuses['front'].values}
    rear = {pair.key: pair.value for pair in statuses['rear'].values}
    assert int(front['dropped_undecodable']) >= 3 and 'dropped_undecodable' not in rear
    peer.depth_of(fresh('front'), '/rig/front/')


def test_a_silent_one_is_named_and_the_others_go_on(node, peer):
    for _ in range(4):
        peer.depth_of(fresh('rear'), '/rig/rear/')
        peer.spin_for(0.7)
    statuses = peer.diagnostics()
    assert 'no image' in statuses['front'].message
    assert 'no image' not in statuses['rear'].message


def test_a_slow_camera_does_not_starve_beside_fast_ones(node, peer):
    peer.depth_of(fresh('left'), '/rig/left/')
    slow = peer.seen['/rig/left/depth/image_rect']
    fast = ('front', 'rear', 'right')
    for name in fast:
        peer.depth_of(fresh(name), f'/rig/{name}/')
    slow.clear()
    for turn in range(40):
        for name in fast:
            peer.send(f'/rig/{name}/image', fresh(name))
        if turn % 10 == 0:
            peer.send('/rig/left/image', fresh('left'))
        peer.spin_for(0.03)
    peer.until(lambda: len(slow) >= 3)


def test_bad_camera_names_are_refused(start, checkpoint):
    node = start(model=checkpoint, device='cpu', cameras="['front', 'front']")
    assert node.process.wait(timeout=60) == 1
    assert 'distinct' in node.text()
