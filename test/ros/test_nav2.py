# SPDX-License-Identifier: Apache-2.0
"""Under Nav2's lifecycle manager: the ready file, and the bond where bondpy is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lifecycle_msgs.msg import Transition

from .conftest import image
from .test_lifecycle import change

MANAGER = {
    '1.3.13 (Jazzy)': {'node_names', 'autostart', 'bond_timeout', 'bond_respawn_max_duration',
                       'attempt_respawn_reconnection'},
    '1.4.2 (Kilted)': {'node_names', 'autostart', 'bond_timeout', 'bond_respawn_max_duration',
                       'attempt_respawn_reconnection', 'service_timeout'},
}
"""The parameters that nav2_lifecycle_manager declares in its source, by version."""

BOND = """
from pathlib import Path
from std_msgs.msg import Header

class Bond:
    def __init__(self, node, topic, bond_id):
        self.node, self.topic = node, topic
        self.log = Path(__file__).with_name('log.txt')
        self.what = f'{topic} {bond_id}'
        self.pub = node.create_publisher(Header, topic, 1)
        FAULT

    def note(self, text):
        with self.log.open('a') as log:
            log.write(f'{text} {self.what}\\n')

    def start(self):
        self.sub = self.node.create_subscription(Header, self.topic, lambda message: None, 1)
        self.note(f'start {self.heartbeat_period} {self.heartbeat_timeout > 1e6}')

    def shutdown(self):
        self.note('shutdown')
        self.sub.destroy()
        self.pub.destroy()
        raise AttributeError('as bondpy does where it was never started')
"""


@pytest.fixture
def bondpy(tmp_path, monkeypatch):
    """A double of bondpy, with topics of its own; its log tells what was asked of it."""
    package = tmp_path / 'bondpy'
    package.mkdir()
    (package / '__init__.py').touch()
    (package / 'log.txt').touch()
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=':')

    def write(fault: str = '') -> Path:
        (package / 'bondpy.py').write_text(BOND.replace('FAULT', fault or 'pass'))
        return package / 'log.txt'

    return write


def test_the_managers_file_sets_only_what_every_manager_declares(root):
    text = (root / 'config' / 'nav2_lifecycle.yaml').read_text()
    given = yaml.safe_load(text)['/**']['ros__parameters']
    assert given == {'node_names': ['depth_estimation'], 'autostart': True, 'bond_timeout': 0.0}
    assert all(set(given) <= declared for declared in MANAGER.values())


def test_an_active_managed_node_keeps_a_bond(start, checkpoint, peer, bondpy):
    log = bondpy()
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert log.read_text() == ''
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    assert log.read_text() == 'start 0.1 True bond depth_estimation\n'
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert log.read_text().splitlines()[1:] == ['shutdown bond depth_estimation']
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.depth_of(image())
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_CLEANUP)  # the executor goes on, and is asked twice
    assert node.end()[0] == 0
    assert [line.split()[0] for line in log.read_text().splitlines()] == [
        'start', 'shutdown'] * 2
    assert 'Traceback' not in node.text() and 'InvalidHandle' not in node.text()


@pytest.mark.slow
def test_a_node_that_starts_by_itself_keeps_none(start, checkpoint, peer, bondpy):
    log = bondpy()
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    peer.depth_of(image())
    assert node.end()[0] == 0
    assert log.read_text() == ''


@pytest.mark.slow
def test_a_bondpy_that_fails_costs_no_depth(start, checkpoint, peer, bondpy):
    bondpy('import bond_messages_that_are_missing')
    node = start(model=checkpoint, device='cpu', autostart=False)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    node.wait_for('bond_timeout to 0.0: ModuleNotFoundError')
    peer.depth_of(image())
    assert node.end()[0] == 0
