# SPDX-License-Identifier: Apache-2.0
"""Who decodes: cv_bridge where a probe finds it sound, else the built-in codec; the log says."""

import pytest

from depth_estimation_ros.ros import codec, converter

from .conftest import image

SOUND = """
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, m, encoding):
        if encoding == 'passthrough':
            return np.frombuffer(m.data, np.uint16).reshape(m.height, m.width)
        pixels = np.frombuffer(bytes(m.data), np.uint8).reshape(m.height, m.width, 3)
        return pixels[:, :, ::-1] if encoding == 'bgr8' else pixels
"""

UNSOUND = {
    'dies': ('import os, signal\nclass CvBridge:\n    def imgmsg_to_cv2(self, m, encoding):\n'
             '        os.kill(os.getpid(), signal.SIGSEGV)\n', 'signal 11'),
    'raises on import': ('raise ImportError("built for another NumPy")\n', 'another NumPy'),
    'wrong pixels': (SOUND.replace('np.uint16', 'np.uint8'), 'not sound'),
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a module named cv_bridge where the node and the probe's process find it."""
    def write(source: str) -> None:
        (tmp_path / 'cv_bridge.py').write_text(source)
        monkeypatch.setenv('PYTHONPATH', f'{tmp_path}:{converter.__file__.split("/depth_est")[0]}')
        monkeypatch.syspath_prepend(str(tmp_path))
    return write


def test_a_sound_cv_bridge_is_used(install):
    install(SOUND)
    chosen = converter.choose_converter()
    assert chosen.name == 'cv_bridge'
    sent = image()
    assert (chosen.decode(sent) == codec.decode(sent)).all()


@pytest.mark.parametrize('encoding', ['BGR8', 'Mono8'])
def test_a_name_that_cv_bridge_would_not_know_is_none_of_its_business(install, encoding):
    method = 'def imgmsg_to_cv2(self, m, encoding):\n'
    install(SOUND.replace(method, f'{method}        assert m.encoding.islower()\n'))
    chosen = converter.choose_converter()
    assert chosen.name == 'cv_bridge'
    sent = image(encoding=encoding, channels=1 if encoding == 'Mono8' else 3)
    assert (chosen.decode(sent) == codec.decode(sent)).all()


@pytest.mark.parametrize('fault', UNSOUND)
def test_an_unsound_one_is_found_before_it_can_harm(install, fault):
    source, reason = UNSOUND[fault]
    install(source)
    chosen = converter.choose_converter()
    assert chosen.decode is codec.decode
    assert chosen.name.startswith('built-in') and reason in chosen.name


@pytest.mark.slow
def test_the_node_outlives_a_cv_bridge_that_kills(install, start, checkpoint, peer):
    install(UNSOUND['dies'][0])
    node = start('-r', '__ns:=/bridge', model=checkpoint, device='cpu')
    node.wait_for('built-in (cv_bridge is not sound here')
    assert peer.depth_of(image(), '/bridge/').width == 64
    assert node.end()[0] == 0


def test_without_cv_bridge_the_log_says_so(monkeypatch):
    monkeypatch.setattr(converter, 'find_spec', lambda name: None)
    assert 'not installed' in converter.choose_converter().name
