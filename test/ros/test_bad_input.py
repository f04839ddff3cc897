# SPDX-License-Identifier: Apache-2.0
"""Every kind of bad frame, sent to the running node: counted, named once, and survived."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from .conftest import image, stamped
from .test_node import counts


def broken(**changes) -> Image:
    message = image()
    for name, value in changes.items():
        setattr(message, name, value)
    return message


BAD = {
    'no pixels': (broken(height=0, width=0, step=0, data=b''), 'it has none'),
    'short data': (broken(data=bytes(100)), 'data holds 100 bytes'),
    'small step': (broken(step=10), 'step is 10 bytes'),
    'zero step': (broken(step=0), 'step is 0 bytes'),
    'unknown encoding': (broken(encoding='plaid8'), "encoding 'plaid8'"),
    'depth as image': (broken(encoding='32FC1'), "encoding '32FC1'"),
    'enormous': (broken(height=2**31, width=2**31), 'more than the'),
    'too small': (image(4, 4), 'too small'),
    'too elongated': (image(5, 900), 'too elongated'),
}


@pytest.fixture(scope='module')
def node(start, checkpoint):
    running = start(model=checkpoint, device='cpu')
    running.wait_for('configured')
    return running


@pytest.mark.parametrize('name', BAD)
def test_a_bad_frame_is_named_and_the_next_good_one_served(node, peer, name):
    bad, _ = BAD[name]
    peer.depth_of(image())
    before = counts(peer)
    for _ in range(3):
        peer.send('image', bad)
        peer.spin_for(0.1)
    peer.depth_of(image())
    after = counts(peer)
    faults = [key for key in ('dropped_undecodable', 'dropped_unsuitable')
              if after.get(key, 0) > before.get(key, 0)]
    assert faults, f'{before} {after} {node.text()}'
    assert node.process.poll() is None and 'Traceback' not in node.text()


def test_the_log_names_a_reason_and_is_throttled(start, checkpoint, peer):
    node = start('-r', '__ns:=/log', model=checkpoint, device='cpu')
    node.wait_for('configured')
    peer.depth_of(image(), '/log/')
    for _ in range(20):
        peer.send('/log/image', BAD['small step'][0])
        peer.spin_for(0.02)
    node.wait_for(BAD['small step'][1])
    assert node.text().count('undecodable') == 1
    node.end()


@pytest.fixture(scope='module')
def compressed_node(start, checkpoint):
    running = start('-r', '__ns:=/zipped', model=checkpoint, device='cpu',
                    image_transport='compressed')
    running.wait_for('configured')
    return running


def jpeg(height: int = 48, width: int = 64) -> CompressedImage:
    ramp = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    data = cv2.imencode('.jpg', ramp)[1].tobytes()
    return stamped(CompressedImage(format='bgr8; jpeg compressed bgr8', data=data))


@pytest.mark.parametrize('data', [b'', b'not a picture', None], ids=['empty', 'noise', 'cut'])
def test_a_broken_jpeg_is_survived(compressed_node, peer, data):
    peer.depth_of(jpeg(), '/zipped/')
    whole = jpeg()
    bad = bytes(whole.data)[:60] if data is None else data
    peer.send('/zipped/image/compressed', stamped(CompressedImage(format='jpeg', data=bad)))
    peer.spin_for(0.2)
    assert peer.depth_of(jpeg(), '/zipped/').width == 64
    compressed_node.wait_for('undecodable')
