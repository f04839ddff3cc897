"""Quality of service: asked, offered, overridden by parameters, and a peer that differs."""

from __future__ import annotations

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

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
    node.end()
