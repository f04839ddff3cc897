# SPDX-License-Identifier: Apache-2.0
"""Changing the running node: what is refused, what takes effect, and that no frame is lost."""

from __future__ import annotations

import time

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from .conftest import image, metres
from .test_lifecycle import call
from .test_node import counts


@pytest.fixture(scope='module')
def node(start, checkpoint):
    running = start(model=checkpoint, device='cpu')
    running.wait_for('configured')
    return running


def put(peer, **values):
    """Set parameters; return the reason of the refusal, or ''."""
    changes = [Parameter(name.replace('__', '.'), value=value).to_parameter_msg()
               for name, value in values.items()]
    results = call(peer, SetParameters, '/depth_estimation/set_parameters',
                   SetParameters.Request(parameters=changes)).results
    assert all(result.successful or result.reason for result in results)
    return '; '.join(result.reason for result in results if not result.successful)


@pytest.mark.parametrize(('changes', 'named'), [
    ({'near': 100.0}, 'beyond'), ({'far': -1.0}, 'range'), ({'near': 'close'}, 'type'),
    ({'preview__colormap': 'plaid'}, 'turbo'), ({'preview__far': 0.0}, 'preview.near'),
    ({'max_batch': 0}, 'range'), ({'max_rate': [1.0, 2.0]}, 'one for each'),
    ({'precision': 'fp8'}, 'fp16'), ({'backend': 'tpu'}, 'openvino'),
    ({'model': 'demo'}, 'read-only'),
    ({'device': 'cuda'}, 'read-only')])
def test_what_makes_no_sense_is_refused_with_the_reason(node, peer, changes, named):
    assert named in put(peer, **changes)


def test_the_range_takes_effect_with_the_next_frame(node, peer):
    sent = image(seed=1)
    before = metres(peer.depth_of(sent))
    assert np.isfinite(before).all()
    middle = float(np.median(before))
    assert not put(peer, far=middle)
    assert np.isposinf(metres(peer.depth_of(image(seed=1)))).mean() == pytest.approx(0.5, abs=0.1)
    assert not put(peer, far=0.0)


def test_flipping_takes_effect_with_the_next_frame(node, peer):
    plain = metres(peer.depth_of(image(seed=1)))
    assert not put(peer, flip_augmentation=True)
    flipped = metres(peer.depth_of(image(seed=1)))
    assert not put(peer, flip_augmentation=False)
    assert np.abs(plain - flipped).max() > 1e-4


def test_old_frames_are_dropped_only_when_asked(node, peer):
    old = image()
    old.header.stamp.sec -= 100
    peer.depth_of(old)
    assert not put(peer, max_age=10.0)
    before = counts(peer).get('dropped_too_old', 0)
    peer.until(lambda: peer.send('image', old) and peer.spin_for(0.2) is None
               and counts(peer).get('dropped_too_old', 0) > before)
    peer.depth_of(image())
    assert counts(peer)['dropped_too_old'] > before
    assert not put(peer, max_age=0.0)


def test_the_network_size_changes_over_without_a_lost_frame(node, peer):
    peer.depth_of(image())
    assert not put(peer, network__height=64, network__width=96)
    while 'network 96x64' not in node.text():
        peer.depth_of(image())
    assert peer.depth_of(image()).width == 64
    assert not put(peer, network__height=0, network__width=0, precision='bf16')
    node.wait_for('bf16')
    peer.depth_of(image())
    assert 'failed' not in counts(peer)
    assert not put(peer, precision='auto')


def test_the_enable_service_pauses_and_resumes(node, peer):
    def enable(on: bool):
        return call(peer, SetBool, '/depth_estimation/enable', SetBool.Request(data=on))

    peer.depth_of(image())
    assert enable(False).success
    before = counts(peer)
    for _ in range(15):
        peer.send('image', image())
        peer.spin_for(0.1)
    status = peer.diagnostics()['camera']
    paused = {pair.key: pair.value for pair in status.values}
    assert int(paused['published']) == before['published']
    assert int(paused['dropped_paused']) >= 3 and 'paused' in status.message
    assert enable(True).success
    peer.depth_of(image())


def test_max_rate_thins_a_fast_camera(node, peer):
    assert not put(peer, max_rate=[5.0])
    peer.depth_of(image())
    before = counts(peer)
    start = time.time_ns()
    for number in range(30):  # a second of the camera's time, however long it takes here
        sent = image()
        stamp = start + number * 33_000_000
        sent.header.stamp.sec, sent.header.stamp.nanosec = divmod(stamp, 10**9)
        peer.send('image', sent)
        peer.spin_for(0.033)
    after = counts(peer)
    assert 1 <= after['published'] - before['published'] <= 7
    assert after['dropped_rate_limited'] > before.get('dropped_rate_limited', 0)
    assert not put(peer, max_rate=[0.0])
