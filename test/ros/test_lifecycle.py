# SPDX-License-Identifier: Apache-2.0
"""Starting, managing and ending the node, in every state and by every way that robots use."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from sensor_msgs.msg import Image

from depth_estimation_ros.ros.diagnostics import SILENT_AFTER
from depth_estimation_ros.ros.signals import DEADLINE

from .conftest import image

PATIENCE = 2.0
"""Seconds in which the process must be gone."""


def call(peer, kind, service: str, request):
    future = peer.client(kind, service).call_async(request)
    peer.until(future.done)
    return future.result()


def change(peer, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return call(peer, ChangeState, '/depth_estimation/change_state', request).success


def state(peer) -> int:
    answer = call(peer, GetState, '/depth_estimation/get_state', GetState.Request())
    return answer.current_state.id


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize('busy', [False, True], ids=['idle', 'with a frame in hand'])
def test_a_signal_ends_the_active_node_quietly(start, checkpoint, peer, number, busy):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    if busy:
        peer.depth_of(image())
        for _ in range(3):
            peer.send('image', image(480, 640))
    code, took = node.end(number)
    assert (code, took < PATIENCE) == (0, True), (took, node.text())
    assert 'Traceback' not in node.text() and 'Error' not in node.text(), node.text()


@pytest.mark.slow
def test_the_time_between_two_activations_is_no_silence(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.depth_of(image())
    assert peer.diagnostics()['camera'].level == DiagnosticStatus.OK
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    peer.spin_for(1.5 * SILENT_AFTER)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    status = peer.diagnostics()['camera']
    assert status.level == DiagnosticStatus.OK, status.message
    assert node.end()[0] == 0 and 'no image on' not in node.text()


def test_a_node_in_whom_nothing_goes_on_leaves_in_order(start, checkpoint, peer):
    """Not by the end that comes to whatever hangs, which leaves it in the graph."""
    def took() -> float:
        node = start(model=checkpoint, device='cpu', autostart=False)
        assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
        code, seconds = node.end()
        assert code == 0 and 'Traceback' not in node.text()
        return seconds

    assert any(took() < DEADLINE for _ in range(3))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('after', [0.3, 1.5, 3.0])
def test_a_signal_while_it_starts_ends_it_quietly(start, checkpoint, number, after):
    import time
    node = start(model=checkpoint, device='cpu', fresh=True)
    time.sleep(after)
    code, took = node.end(number)
    assert (code, took < PATIENCE) == (0, True), (took, node.text())
    assert 'Traceback' not in node.text(), node.text()


def test_a_lifecycle_manager_drives_it_through_every_state(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
    for _ in range(2):
        assert change(peer, Transition.TRANSITION_CONFIGURE)
        assert state(peer) == State.PRIMARY_STATE_INACTIVE
        for _ in range(2):
            assert change(peer, Transition.TRANSITION_ACTIVATE)
            peer.depth_of(image())
            assert change(peer, Transition.TRANSITION_DEACTIVATE)
        assert change(peer, Transition.TRANSITION_CLEANUP)
        assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
    code, took = node.end(signal.SIGTERM)
    assert (code, took < PATIENCE) == (0, True), (took, node.text())
    assert 'Traceback' not in node.text()


def test_a_node_that_ended_leaves_the_graph_at_once(start, checkpoint, peer):
    def present() -> bool:
        return 'depth_estimation' in peer.get_node_names()

    def leaves_at_once() -> bool:
        node = start(model=checkpoint, device='cpu')
        node.wait_for('configured')
        peer.until(present)
        assert node.end()[0] == 0
        with contextlib.suppress(AssertionError):
            peer.until(lambda: not present(), 5.0)
            return True
        peer.until(lambda: not present())
        return False

    # The farewell is sent once, and a busy machine may lose it; then others wait for 20 s.
    assert any(leaves_at_once() for _ in range(3))


def test_an_inactive_node_publishes_nothing_and_ends_quietly(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    depths = peer.listen('depth/image_rect', Image)
    publisher = peer.create_publisher(Image, 'image', 1)
    publisher.publish(image())
    peer.spin_for(0.5)
    assert not depths
    code, took = node.end()
    assert (code, took < PATIENCE) == (0, True), node.text()


@pytest.mark.parametrize(('parameters', 'named'), [
    ({'model': '/nowhere/model'}, ['/nowhere/model', 'no such folder']),
    ({'model': 'Intel/zoedepth-nyu-kitti', 'local_files_only': True},
     ['Intel/zoedepth-nyu-kitti', 'cache', 'hf download Intel/zoedepth-nyu-kitti']),
    ({'device': 'cuda:7'}, ['cuda:7']),
], ids=['folder', 'hub id', 'device'])
def test_what_cannot_be_configured_is_named_in_one_line(start, checkpoint, parameters, named):
    node = start(**{'model': checkpoint, 'device': 'cpu', **parameters})
    assert node.process.wait(timeout=60) == 1
    errors = [line for line in node.text().splitlines() if 'cannot configure' in line]
    assert len(errors) == 1 and 'Traceback' not in node.text(), node.text()
    assert all(name in errors[0] for name in named)


def test_a_failed_configure_may_be_tried_again(start, checkpoint, tmp_path, peer):
    folder = tmp_path / 'model'
    node = start(model=folder, device='cpu', autostart=False)
    assert not change(peer, Transition.TRANSITION_CONFIGURE)
    assert state(peer) == State.PRIMARY_STATE_UNCONFIGURED
    folder.symlink_to(checkpoint)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert node.end()[0] == 0


@pytest.mark.parametrize(('parameters', 'named'), [
    ({'near': '5.0', 'far': '2.0'}, ['far', 'near']),
    ({'preview__colormap': 'plaid'}, ['preview.colormap', 'plaid', 'turbo']),
    ({'near': 'close'}, ['near']),
    ({'near': '-1.0'}, ['near']),
], ids=['near beyond far', 'colormap', 'type', 'range'])
def test_bad_parameters_are_named_at_start(start, checkpoint, parameters, named):
    node = start(model=checkpoint, device='cpu', **parameters)
    assert node.process.wait(timeout=60) == 1
    assert 'Traceback' not in node.text(), node.text()
    assert all(name in node.text() for name in named), node.text()


def test_whole_numbers_are_taken_for_metres_and_rates(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', far=10, max_rate='[5]')
    node.wait_for('configured')
    assert node.end()[0] == 0


def test_a_package_that_is_missing_is_one_line(root, tmp_path):
    (tmp_path / 'torch.py').write_text('raise ImportError("No module named \'torch\'")')
    ended = subprocess.run(
        [sys.executable, '-m', 'depth_estimation_ros.ros.main'], capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{root}'}, timeout=60)
    assert ended.returncode == 1 and ended.stderr.count('\n') == 1
    assert "No module named 'torch'" in ended.stderr and sys.executable in ended.stderr


def test_what_is_said_to_nobody_is_named(start, checkpoint, tmp_path):
    others = tmp_path / 'others.yaml'
    others.write_text('depth_estimation_node: {ros__parameters: {far: 5.0}}')
    node = start('--params-file', str(others), '--', '-p', 'near:=0.2',
                 model=checkpoint, device='cpu', preview__colourmap='turbo')
    node.wait_for('configured')
    for said in ("'preview.colourmap'", f"'{others}' has parameters of /depth_estimation_node",
                 "'-p near:=0.2' on the command line"):
        assert said in node.text()
    assert node.end()[0] == 0


@pytest.mark.parametrize(('arguments', 'said'), [
    (('-r', 'depth/image_rect:=depth/preview'),
     'depth/image_rect and depth/preview are remapped to one topic, /depth/preview'),
    (('-r', 'depth/image_rect:=/x', '-r', 'depth/camera_info:=/x'), 'remapped to one topic, /x'),
    (('-p', 'qos_overrides./image.subscription.reliability:=foo'),
     'the subscription of /image (sensor_msgs/msg/Image) cannot be made'),
    (('-p', 'qos_overrides./depth/preview.publisher.depth:=-4'),
     'see the parameters qos_overrides./depth/preview.publisher')], ids=str)
def test_topics_that_cannot_be_are_named_with_what_to_change(start, checkpoint, arguments, said):
    node = start(*arguments, model=checkpoint, device='cpu')
    assert node.process.wait(timeout=60) == 1
    assert said in node.text() and 'Traceback' not in node.text(), node.text()
