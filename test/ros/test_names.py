# SPDX-License-Identifier: Apache-2.0
"""Names of topics: remapped, transported, shared and mistaken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count

import cv2
import numpy as np
import pytest
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_estimation_ros.ros.camera import Camera

from .conftest import stamped, until

NUMBERS = count()


@contextmanager
def made(transport: str, name: str, *arguments: str) -> Iterator[tuple[LifecycleNode, Camera]]:
    # A node that is destroyed stays in the graph until it is garbage, and takes the topics of
    # another of its name along.
    own = f'named_{next(NUMBERS)}'
    flags = [flag for rule in arguments for flag in ('-r', rule)]
    node = LifecycleNode(own, enable_communication_interface=False,
                         cli_args=['--ros-args', *flags])
    try:
        camera = Camera(node, name, transport=transport, deliver=lambda frame: None)
        with closing(camera):
            camera.subscribe()
            yield node, camera
    finally:
        node.destroy_node()


def image_topic(transport: str, name: str, *arguments: str) -> str:
    """Return the one image topic that the camera really subscribes to."""
    with made(transport, name, *arguments) as (node, camera):
        subscribed = [end.topic_name for end in node.subscriptions
                      if end.msg_type in (Image, CompressedImage)]
        assert subscribed == [camera.image_topic]
        return subscribed[0].replace(node.get_name(), 'NODE')


@pytest.mark.parametrize(('name', 'rules', 'topic'), [
    ('', [], '/image/compressed'),
    ('', ['image:=/cam/image_raw'], '/cam/image_raw/compressed'),
    ('', ['__ns:=/robot'], '/robot/image/compressed'),
    ('', ['__ns:=/robot', 'image:=cam/image_raw'], '/robot/cam/image_raw/compressed'),
    ('', ['image/compressed:=/cam/jpeg'], '/cam/jpeg'),
    ('', ['image:=/cam/image_raw', 'image/compressed:=/cam/jpeg'], '/cam/jpeg'),
    ('', ['image:=/cam/image_raw', 'image/compressed:=/cam/image_raw/compressed'],
     '/cam/image_raw/compressed'),
    ('', ['image:=/cam/image_raw/compressed'], '/cam/image_raw/compressed'),
    ('', ['image:=~/image'], '/NODE/image/compressed'),
    ('front', ['front/image:=/cam/image_raw'], '/cam/image_raw/compressed'),
    ('front', ['image:=/cam/image_raw'], '/front/image/compressed'),
    ('front', ['__ns:=/robot', 'front/image:=/cam/image_raw'], '/cam/image_raw/compressed'),
    ('front', ['/front/image/compressed:=/cam/jpeg'], '/cam/jpeg'),
    ('front/left', ['front/left/image:=/left'], '/left/compressed'),
], ids=str)
def test_compressed_images_are_subscribed_to_as_image_transport_does(name, rules, topic):
    assert image_topic('compressed', name, *rules) == topic


def test_raw_images_follow_their_remapping():
    assert image_topic('raw', 'front', 'front/image:=/cam/image_raw') == '/cam/image_raw'


@pytest.fixture(scope='module')
def node(start, checkpoint):
    running = start('-r', '__ns:=/named', '-r', 'image:=/names/image_raw', model=checkpoint,
                    device='cpu', image_transport='compressed')
    running.wait_for('configured')
    return running


def test_depth_of_a_remapped_cameras_compressed_images_is_published(node, peer):
    depths = peer.listen('/named/depth/image_rect', Image)
    data = cv2.imencode('.png', np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    peer.until(lambda: peer.send('/names/image_raw/compressed', stamped(
        CompressedImage(format='png', data=data))) and peer.spin_for(0.2) is None and bool(depths))
    peer.until(lambda: peer.diagnostics()['camera'].hardware_id == '/names/image_raw/compressed')


def test_images_of_another_type_are_named(node, peer):
    wrong = peer.create_publisher(Image, '/names/image_raw/compressed', 1)
    peer.until(lambda: 'published as sensor_msgs/msg/Image, but subscribed to as sensor_msgs/msg/'
               'CompressedImage' in peer.diagnostics()['camera'].message)
    peer.destroy_publisher(wrong)
    peer.until(lambda: 'published as' not in peer.diagnostics()['camera'].message)


def test_two_cameras_calibration_on_one_topic_is_named(node, peer):
    both = [peer.create_publisher(CameraInfo, '/named/camera_info', 1) for _ in range(2)]
    peer.until(lambda: '2 publishers send to /named/camera_info'
               in peer.diagnostics()['camera'].message)
    for one in both:
        peer.destroy_publisher(one)


def test_a_camera_whose_topics_are_the_nodes_own_outputs_is_named():
    with made('raw', '') as (node, _), closing(
            Camera(node, 'depth', transport='raw', deliver=lambda frame: None)) as clashing:
        clashing.subscribe()
        until(lambda: any('/depth/camera_info is published by this node itself' in fault
                          for fault in clashing.faults))
