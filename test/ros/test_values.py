# SPDX-License-Identifier: Apache-2.0
"""Every parameter with values of every ROS type, right and wrong, in every state."""

from __future__ import annotations

import math
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter as Message
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from .conftest import image
from .test_lifecycle import call, change
from .test_live_parameters import put

NODE = '/depth_estimation'
FIELDS: dict[str, tuple[int, list[Any]]] = {
    'bool_value': (ParameterType.PARAMETER_BOOL, [True, False]),
    'integer_value': (ParameterType.PARAMETER_INTEGER, [0, 1, 64, -1, 2**63 - 1, -2**63]),
    'double_value': (ParameterType.PARAMETER_DOUBLE,
                     [0.0, 0.5, 64.0, -1.0, 1e308, math.nan, math.inf, -math.inf]),
    'string_value': (ParameterType.PARAMETER_STRING, ['', 'auto', 'x', 'ünï', 'x' * 5000]),
    'byte_array_value': (ParameterType.PARAMETER_BYTE_ARRAY, [[], [b'\x01']]),
    'bool_array_value': (ParameterType.PARAMETER_BOOL_ARRAY, [[], [True]]),
    'integer_array_value': (ParameterType.PARAMETER_INTEGER_ARRAY, [[], [5], [1, 2], [-1]]),
    'double_array_value': (ParameterType.PARAMETER_DOUBLE_ARRAY,
                           [[], [5.0], [math.nan], [math.inf], [1.0, 2.0]]),
    'string_array_value': (ParameterType.PARAMETER_STRING_ARRAY, [[], ['front'], ['', '']]),
}
VALUES = [ParameterValue(type=kind, **{name: value})
          for name, (kind, values) in FIELDS.items() for value in values]
NEVER_SENT = [ParameterValue(), ParameterValue(type=77)]


def names(peer) -> list[str]:
    return call(peer, ListParameters, f'{NODE}/list_parameters',
                ListParameters.Request()).result.names


def get(peer, wanted: list[str]) -> dict[str, ParameterValue]:
    values = call(peer, GetParameters, f'{NODE}/get_parameters',
                  GetParameters.Request(names=wanted)).values
    assert len(values) == len(wanted)
    return dict(zip(wanted, values, strict=True))


def send_everything(peer) -> None:
    """Set all parameters to all values, as the services allow it; then put back what changed."""
    known = names(peer)
    before = get(peer, known)
    everything = [Message(name=name, value=value) for name in (*known, 'nonsense', '', 'a..b')
                  for value in (*VALUES, *NEVER_SENT)]
    results = call(peer, SetParameters, f'{NODE}/set_parameters',
                   SetParameters.Request(parameters=everything)).results
    assert len(results) == len(everything)
    refused = [result for result in results if not result.successful]
    assert all(result.reason for result in refused)
    assert len(results) > len(refused) > len(results) // 2
    for parameter in everything[::7]:
        result = call(peer, SetParametersAtomically, f'{NODE}/set_parameters_atomically',
                      SetParametersAtomically.Request(parameters=[parameter])).result
        assert result.successful or result.reason
    assert names(peer) == known
    restored = [Message(name=name, value=value) for name, value in before.items()]
    call(peer, SetParameters, f'{NODE}/set_parameters', SetParameters.Request(parameters=restored))
    after = get(peer, known)
    assert after == before


@pytest.mark.slow
def test_no_value_of_any_parameter_ends_the_node_or_leaves_it_useless(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', autostart=False)
    send_everything(peer)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    send_everything(peer)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.depth_of(image())
    send_everything(peer)
    peer.depth_of(image())
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_CLEANUP)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.depth_of(image())
    assert 'Traceback' not in node.text() and 'callback failed' not in node.text(), node.text()
    assert node.end()[0] == 0


@pytest.fixture(scope='module')
def node(start, checkpoint):
    running = start('-p', 'cameras:=front', '-p', 'max_rate:=5', '-p', 'max_batch:=4.0',
                    model=checkpoint, device='cpu', far=10)
    running.wait_for('configured')
    return running


def test_neighbouring_types_are_taken_at_start(node, peer):
    values = get(peer, ['cameras', 'max_rate', 'max_batch', 'far'])
    assert list(values['cameras'].string_array_value) == ['front']
    assert list(values['max_rate'].double_array_value) == [5.0]
    assert values['max_batch'].integer_value == 4 and values['far'].double_value == 10.0


@pytest.mark.parametrize(('name', 'value', 'field', 'taken'), [
    ('far', 20, 'double_value', 20.0), ('max_age', 0, 'double_value', 0.0),
    ('max_rate', 7, 'double_array_value', [7.0]), ('max_rate', 7.5, 'double_array_value', [7.5]),
    ('max_rate', [8], 'double_array_value', [8.0]), ('max_batch', 3.0, 'integer_value', 3)])
def test_neighbouring_types_are_taken_live_and_kept_as_declared(
        node, peer, name, value, field, taken):
    assert not put(peer, **{name: value})
    kept = get(peer, [name])[name]
    assert (kept.type, getattr(kept, field)) == (FIELDS[field][0], pytest.approx(taken))
    described, = call(peer, DescribeParameters, f'{NODE}/describe_parameters',
                      DescribeParameters.Request(names=[name])).descriptors
    assert described.type == FIELDS[field][0]


@pytest.mark.parametrize(('changes', 'named'), [
    ({'far': True}, 'type'), ({'far': [10.0]}, 'type'), ({'far': 'x'}, 'type'),
    ({'max_batch': 2.5}, 'type'), ({'max_rate': True}, 'type'), ({'max_rate': 'x'}, 'type'),
    ({'max_rate': [math.nan]}, 'none negative'), ({'max_rate': [math.inf]}, 'none negative'),
    ({'max_rate': []}, 'one number'), ({'near': math.nan}, 'range'), ({'near': None}, 'undeclare'),
    ({'flip_augmentation': 1}, 'type'), ({'precision': 16}, 'type'), ({'nonsense': 1}, 'nonsense'),
    ({'far': 2**62}, 'range'), ({'network__height': 5}, 'at least 32')], ids=str)
def test_what_leaves_doubt_is_refused_with_the_reason(node, peer, changes, named):
    assert named in put(peer, **changes)


def test_changes_of_one_request_are_taken_together_where_only_that_makes_sense(node, peer):
    assert not put(peer, near=0.5, far=1.0)
    assert not put(peer, near=5.0, far=6.0)
    assert not put(peer, far=0.3, near=0.1)
    assert 'beyond' in put(peer, far=0.05, flip_augmentation=True)
    kept = get(peer, ['far', 'flip_augmentation'])
    assert kept['far'].double_value == 0.3 and kept['flip_augmentation'].bool_value


@pytest.mark.parametrize('override', ['near:=close', 'cameras:=[1, 2]', 'max_rate:=true',
                                      'flip_augmentation:=1', 'model:=5', 'cameras:=[]'])
def test_a_value_of_a_wrong_kind_at_start_is_named_in_one_line(start, checkpoint, override):
    running = start('-p', override, model=checkpoint, device='cpu')
    assert running.process.wait(timeout=60) == 1
    lines = [line for line in running.text().splitlines() if 'rmw_fastrtps' not in line]
    assert len(lines) == 1 and override.split(':')[0] in lines[0], running.text()


def test_several_changes_load_the_network_once_for_the_last_wanted_state(node, peer):
    changes = [Parameter(name, value=value).to_parameter_msg() for name, value in (
        ('network.height', 128), ('far', 0.0), ('precision', 'bf16'), ('network.width', 192),
        ('network.height', 64), ('network.width', 64), ('network.height', 96),
        ('network.width', 96), ('network.height', 64), ('precision', 'fp32'))]
    results = call(peer, SetParameters, f'{NODE}/set_parameters',
                   SetParameters.Request(parameters=changes)).results
    assert all(result.successful for result in results), results
    node.wait_for('fp32, network 96x64')
    peer.spin_for(1.0)
    assert node.text().count('loading the network') == 1
    assert node.text().count('changed over') == 1


def test_a_domain_is_pinned_live_and_another_refused_with_those_there_are(node, peer):
    assert 'has nyu, kitti' in put(peer, domain='moon')
    assert put(peer, near=20.0, far=0.0, domain='nyu') == ''
    node.wait_for("beyond the model's own range, which ends at 10")

    def settled(domain: str) -> None:
        peer.until(lambda: {pair.key: pair.value for pair in peer.diagnostics()['model'].values}[
            'domain'] == domain)

    assert put(peer, near=0.1) == ''
    settled('nyu')  # tried again, and though nobody wants depth
    assert 'ends at 10' in put(peer, near=15.0)
    assert put(peer, domain='kitti') == ''
    settled('kitti')
    assert put(peer, near=15.0) == put(peer, near=0.1, domain='auto') == ''

    def served() -> dict[str, str]:
        peer.send('front/image', image())
        return {pair.key: pair.value for pair in peer.diagnostics()['front'].values}

    peer.listen('front/depth/image_rect', Image)
    peer.until(lambda: served().get('domain') in ('nyu', 'kitti'))


def test_the_height_alone_takes_effect_and_the_log_says_what_runs(node, peer):
    assert not put(peer, network__height=192, network__width=0)
    node.wait_for('network 256x192 for images of 640x480')
    assert not put(peer, network__height=0, network__width=64)
    node.wait_for('network 64x64 for images of 640x480')
