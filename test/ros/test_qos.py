# SPDX-License-Identifier: Apache-2.0
"""Quality of service: asked, offered, overridden by parameters, and a peer that differs."""

from __future__ import annotations

import copy

import pytest
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from depth_estimation_ros.ros import qos
from depth_estimation_ros.ros.camera import Camera
from depth_estimation_ros.ros.outputs import OUTPUTS

from .conftest import image


def test_images_are_taken_best_effort_and_depth_is_offered_reliable(start, checkpoint, peer):
    node = start('-r', '__ns:=/plain', model=checkpoint, device='cpu')
    node.wait_for('configured')
    peer.depth_of(image(), '/plain/')
    taken, = peer.get_subscriptions_info_by_topic('/plain/image')
    offered, = peer.get_publishers_info_by_topic('/plain/depth/image_rect')
    assert taken.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert offered.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    node.end()


def test_the_standard_parameters_override_it_and_a_peer_that_differs_is_named(
        start, checkpoint, peer):
    topic = '/other/depth/image_rect'
    override = f'qos_overrides.{topic}.publisher.reliability'
    node = start('-r', '__ns:=/other', '-p', f'{override}:=best_effort', model=checkpoint,
                 device='cpu')
    node.wait_for('configured')
    assert 'misspelt' not in node.text()
    peer.until(lambda: peer.count_publishers(topic) == 1)
    offered, = peer.get_publishers_info_by_topic(topic)
    assert offered.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    peer.listen(topic, Image, QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
    node.wait_for('incompatible reliability policy')
    assert override in node.text()
    peer.until(lambda: 'incompatible' in peer.diagnostics()['camera'].message)
    peer.deafen()
    peer.until(lambda: 'incompatible' not in peer.diagnostics()['camera'].message)
    node.end()


TOPICS = [output.topic for output in OUTPUTS]
INPUTS = ['image', 'camera_info']
POLICIES = {
    'reliability': ('reliable', ReliabilityPolicy.RELIABLE, 'best_effort',
                    ReliabilityPolicy.BEST_EFFORT),
    'durability': ('transient_local', DurabilityPolicy.TRANSIENT_LOCAL, 'volatile',
                   DurabilityPolicy.VOLATILE),
    'depth': (7, 7, 3, 3),
    'history': ('keep_all', HistoryPolicy.KEEP_ALL, 'keep_last', HistoryPolicy.KEEP_LAST),
}


def profiles(node: LifecycleNode) -> dict[str, QoSProfile]:
    """Return a copy of the QoS of each topic of two cameras."""
    cameras = [Camera(node, name, transport='raw', deliver=lambda frame: None)
               for name in ('front', 'rear')]
    for camera in cameras:
        camera.subscribe()
    ends = {**{end.topic_name: end for end in node.publishers},
            **{end.topic_name: end for end in node.subscriptions}}
    found = {topic: copy.copy(ends[topic].qos_profile) for name in ('front', 'rear')
             for topic in (f'/{name}/{end}' for end in TOPICS + INPUTS)}
    for camera in cameras:
        camera.close()
    return found


@pytest.mark.parametrize('policy', POLICIES)
@pytest.mark.parametrize('topic', TOPICS + INPUTS)
def test_an_override_changes_its_own_topic_alone(topic, policy):
    plain = LifecycleNode('plain', enable_communication_interface=False)
    before = profiles(plain)
    plain.destroy_node()
    name = f'/front/{topic}'
    given, wanted, other, instead = POLICIES[policy]
    if getattr(before[name], policy) == wanted:
        given, wanted = other, instead
    role = 'publisher' if topic in TOPICS else 'subscription'
    node = LifecycleNode('overridden', enable_communication_interface=False, cli_args=[
        '--ros-args', '-p', f'qos_overrides.{name}.{role}.{policy}:={given}'])
    after = profiles(node)
    node.destroy_node()
    assert getattr(after[name], policy) == wanted
    for other_topic, profile in before.items():
        for each in POLICIES:
            if (other_topic, each) != (name, policy):
                assert getattr(after[other_topic], each) == getattr(profile, each), other_topic


def test_a_policy_that_no_parameter_sets_is_asked_of_the_peer_alone():
    told: list[str] = []
    report = qos.incompatible('/depth/image_rect', 'subscriber', told.append)

    class Event:
        last_policy_kind = 1 << 2  # RMW_QOS_POLICY_DEADLINE

    report(Event())
    assert 'incompatible deadline policy' in told[0] and 'qos_overrides' not in told[0]
