# SPDX-License-Identifier: Apache-2.0
"""All transitions from all states of the running node, and what fails on the way."""

from __future__ import annotations

import time

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from sensor_msgs.msg import Image

from .conftest import image
from .test_lifecycle import PATIENCE, call, change, state

CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
SLOW_BRIDGE = 'import time\ntime.sleep(4)\nraise ImportError("not sound")\n'
"""A cv_bridge whose probe makes configure last for seconds, as a large model does."""

POSSIBLE = {
    State.PRIMARY_STATE_UNCONFIGURED: {1, 5}, State.PRIMARY_STATE_INACTIVE: {2, 3, 6},
    State.PRIMARY_STATE_ACTIVE: {4, 7}, State.PRIMARY_STATE_FINALIZED: set()}


def refuse_all(peer, expected: int) -> None:
    """Ask for every transition that is not possible in a state; each is answered with no."""
    assert state(peer) == expected
    for number in {*range(10), 10, 20, 30, 42, 60, 99, 255} - POSSIBLE[expected]:
        assert not change(peer, number), number
    assert state(peer) == expected


def test_no_transition_from_any_state_ends_the_node_or_leaves_it_useless(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', autostart=False)
    refuse_all(peer, State.PRIMARY_STATE_UNCONFIGURED)
    assert change(peer, CONFIGURE)
    refuse_all(peer, State.PRIMARY_STATE_INACTIVE)
    assert change(peer, ACTIVATE)
    refuse_all(peer, State.PRIMARY_STATE_ACTIVE)
    peer.depth_of(image())
    node.wait_for('transition with id 3 is not possible while the node is active; possible: '
                  'deactivate, shutdown')
    assert change(peer, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    refuse_all(peer, State.PRIMARY_STATE_FINALIZED)
    node.wait_for('only a new process can serve again')
    assert node.end()[0] == 0
    assert 'Traceback' not in node.text()


def test_a_manager_that_finds_autostart_left_on_is_answered_and_depth_goes_on(
        start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    assert not change(peer, CONFIGURE)
    assert not change(peer, ACTIVATE)
    peer.depth_of(image())
    assert node.end()[0] == 0


@pytest.mark.slow
def test_the_services_answer_while_it_configures(start, checkpoint, peer, tmp_path, monkeypatch):
    (tmp_path / 'cv_bridge.py').write_text(SLOW_BRIDGE)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=':')
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
    client = peer.client(ChangeState, '/depth_estimation/change_state')
    request = ChangeState.Request(transition=Transition(id=CONFIGURE))
    asked = [client.call_async(request) for _ in range(3)]
    peer.until(lambda: state(peer) == State.TRANSITION_STATE_CONFIGURING)
    assert not any(future.done() for future in asked)
    peer.until(lambda: all(future.done() for future in asked))
    assert [future.result().success for future in asked] == [True, False, False]
    assert state(peer) == State.PRIMARY_STATE_INACTIVE
    assert node.end()[0] == 0


def test_a_signal_ends_it_while_it_configures(start, checkpoint, peer, tmp_path, monkeypatch):
    (tmp_path / 'cv_bridge.py').write_text(SLOW_BRIDGE.replace('4', '60'))
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=':')
    node = start(model=checkpoint, device='cpu')
    peer.until(lambda: call(peer, GetState, '/depth_estimation/get_state', GetState.Request())
               .current_state.id == State.TRANSITION_STATE_CONFIGURING)
    code, took = node.end()
    assert (code, took < PATIENCE) == (0, True)
    assert '[depth_estimation]' not in node.text() and 'Traceback' not in node.text()


@pytest.mark.parametrize(('arguments', 'work', 'named'), [
    (['-p', 'qos_overrides./depth/image_rect.publisher.reliability:=best-effort'],
     'configure', 'best-effort'),
    (['-p', 'qos_overrides./image.subscription.depth:=five'], 'activate', 'five'),
    (['-p', 'qos_overrides./camera_info.subscription.reliability:=best-effort'],
     'activate', 'best-effort'),
    (['-r', 'depth/preview:=camera_info'], 'activate', 'Failed to create subscription'),
], ids=['publisher', 'type', 'second subscription', 'name clash'])
def test_an_error_within_a_transition_ends_an_autostarted_node_with_one_line(
        start, checkpoint, arguments, work, named):
    node = start(*arguments, model=checkpoint, device='cpu')
    assert node.process.wait(timeout=60) == 1
    errors = [line for line in node.text().splitlines() if f'cannot {work}' in line]
    assert len(errors) == 1 and named in errors[0], node.text()
    assert 'Traceback' not in node.text(), node.text()


def test_a_managed_node_answers_an_error_and_gives_back_what_was_half_made(
        start, checkpoint, peer):
    node = start('-p', 'qos_overrides./camera_info.subscription.reliability:=best-effort',
                 model=checkpoint, device='cpu', autostart=False)
    for _ in range(2):
        assert change(peer, CONFIGURE)
        peer.until(lambda: peer.count_publishers('/depth/image_rect') == 1)
        assert not change(peer, ACTIVATE)
        assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
        peer.until(lambda: peer.count_publishers('/depth/image_rect') == 0)
        peer.until(lambda: peer.count_subscribers('/image') == 0)
    assert node.end()[0] == 0
    assert node.text().count('cannot activate') == 2 and 'Traceback' not in node.text()


def test_configured_and_cleaned_up_in_haste_it_serves_in_the_end(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', autostart=False)
    client = peer.client(ChangeState, '/depth_estimation/change_state')
    end = time.monotonic() + 3.0
    asked = []
    while time.monotonic() < end:
        for number in (1, 3, 4, 2, 3, 1):
            asked.append(client.call_async(
                ChangeState.Request(transition=Transition(id=number))))
            peer.spin_for(0.02)
    peer.until(lambda: asked[-1].done())
    for number in (CONFIGURE, ACTIVATE):
        change(peer, number)
    peer.listen('depth/image_rect', Image)
    peer.depth_of(image())
    assert node.end()[0] == 0
