# SPDX-License-Identifier: Apache-2.0
"""A faster network is built beside a camera that runs, and no frame is lost by it."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from .conftest import PATIENCE, camera_info, image, until
from .test_live_parameters import put
from .test_node import counts

pytestmark = pytest.mark.skipif(
    find_spec('openvino') is None, reason='openvino is not installed')


ISA = 'ONEDNN_MAX_CPU_ISA'
"""What OpenVINO takes the processor to be able to do; '' is all that it can."""


def exports() -> set[str]:
    """Return the processes that export a network at this moment."""
    found = set()
    for process in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            command = process.read_bytes()
        except OSError:  # it has just ended
            continue
        if b'depth_estimation_ros.core.backends.export' in command:
            found.add(process.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize('isa', ['', 'AVX2'])
def test_openvino_is_built_under_traffic(start, checkpoint, peer, monkeypatch, isa):
    monkeypatch.setenv(ISA, isa)
    node = start(model=checkpoint, device='cpu', backend='auto')
    node.wait_for('configured')
    end = time.monotonic() + 2 * PATIENCE
    while 'openvino built the network for 128x96, batch 1' not in node.text():
        peer.depth_of(image())
        assert time.monotonic() < end, node.text()
    peer.depth_of(image())
    account = counts(peer)
    assert account['published'] > 10 and 'dropped_failed' not in account, node.text()
    assert 'cannot build' not in node.text() and 'Traceback' not in node.text()
    assert not put(peer, backend='torch')
    node.wait_for('changed over')
    peer.depth_of(image())
    assert 'bf16, not in fp16' in put(peer, backend='openvino', precision='fp16')
    code, took = node.end()
    assert (code, took < 2.0) == (0, True), node.text()


def test_a_cameras_size_is_made_ready_before_anybody_wants_depth(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu')
    node.wait_for('configured')
    ready = 'ready for images at network size 480x96'
    peer.until(lambda: peer.send('image', image(48, 300)) and ready in node.text())
    for width in (200, 100):  # only the first size is prepared for, whatever else is claimed
        peer.send('image', image(48, width))
    assert node.text().count('ready for') == 1
    assert counts(peer)['published'] == 0
    peer.depth_of(image(48, 300))
    assert node.end()[0] == 0


def test_a_compressed_cameras_size_comes_with_its_calibration(start, checkpoint, peer):
    node = start(model=checkpoint, device='cpu', image_transport='compressed')
    node.wait_for('configured')
    ready = 'ready for images at network size 480x96'
    peer.until(lambda: peer.send('camera_info', camera_info(48, 300)) and ready in node.text())


@pytest.mark.slow
def test_where_openvino_cannot_build_torch_serves_on(start, checkpoint, peer, monkeypatch):
    monkeypatch.setenv(ISA, 'SSE41')  # for which it cannot generate the code that it needs
    node = start(model=checkpoint, device='cpu', backend='auto')
    told = peer.listen('/diagnostics', DiagnosticArray)
    node.wait_for('openvino cannot build the network for 128x96, batch 1, it runs without: bad '
                  'combination', 2 * PATIENCE)
    peer.until(lambda: any(
        status.level == DiagnosticStatus.WARN and 'openvino cannot build' in status.message
        for array in told for status in array.status))
    assert 'without snippets' in node.text() and 'Traceback' not in node.text()
    peer.depth_of(image())
    facts = {pair.key: pair.value for pair in peer.diagnostics()['model'].values}
    assert (facts['backend'], facts['building']) == ('torch', 'false')
    code, _ = node.end()
    assert code == 0


def test_a_signal_while_it_builds_ends_the_node_and_the_export(start, checkpoint):
    before = exports()
    node = start(model=checkpoint, device='cpu', backend='auto')
    node.wait_for('configured')
    until(lambda: bool(exports() - before), 'nothing is exported')
    own = exports() - before
    code, took = node.end()
    assert (code, took < 2.0) == (0, True), node.text()
    until(lambda: not exports() & own, 'the export goes on without the node')
