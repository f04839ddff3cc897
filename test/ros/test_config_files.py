# SPDX-License-Identifier: Apache-2.0
"""Every topic, type, QoS and frame that a file in config/ names, against the running node."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import Image, LaserScan, PointCloud2

from ..test_foxglove import VALUE
from .conftest import Peer, RunningNode, camera_info, image

BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
ROBOT = {'/tf', '/tf_static'}
"""Topics that are neither the camera's nor the node's."""
ROBOT_FRAMES = {'base_link', 'odom', 'map'}
"""Frames by REP 105, from which TF leads to the camera's."""


@dataclass(frozen=True)
class Named:
    """A topic as a file names it."""

    topic: str
    kind: str = ''
    """The type, without its package, where the file says it."""
    reliability: ReliabilityPolicy | None = None
    """What the subscription of the file's reader asks for, where it or its source says so."""
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE


def nav2(text: str) -> Iterator[Named]:
    # The layers of Nav2 and STVL subscribe with the profile of sensor data.
    for topic, kind in re.findall(r'topic: (\S+)\n\s+data_type: (\w+)', text):
        yield Named(topic, kind, BEST_EFFORT)


def rviz(text: str) -> Iterator[Named]:
    for display in yaml.safe_load(text)['Visualization Manager']['Displays']:
        if 'Topic' in display:
            topic = display['Topic']
            yield Named(
                topic['Value'], display['Class'].rpartition('/')[2],
                ReliabilityPolicy[topic['Reliability Policy'].upper().replace(' ', '_')],
                DurabilityPolicy[topic['Durability Policy'].upper().replace(' ', '_')])


def record(text: str) -> Iterator[Named]:
    for topic, policies in yaml.safe_load(text).items():
        yield Named(topic, '', ReliabilityPolicy[policies['reliability'].upper()],
                    DurabilityPolicy[policies['durability'].upper()])


def rtabmap(text: str) -> Iterator[Named]:
    kinds = {'rgb/image': ('Image', 'qos'), 'depth/image': ('Image', 'qos'),
             'rgb/camera_info': ('CameraInfo', 'qos_camera_info')}
    for node, section in yaml.safe_load(text).items():
        given = section['ros__parameters']
        command = text.partition(f' {node} --ros-args')[2].partition('ros2 run')[0]
        for taken, topic in re.findall(r'-r (\S+):=(/\S+)', command):
            kind, parameter = kinds[taken]
            asked = given.get(parameter, given.get(f'{parameter}_image'))
            yield Named(topic, kind, ReliabilityPolicy(asked))


def foxglove(text: str) -> Iterator[Named]:
    for name, panel in json.loads(text)['configById'].items():
        if name.startswith('Image!'):
            yield Named(panel['imageMode']['imageTopic'], 'Image')
            yield Named(panel['imageMode']['calibrationTopic'], 'CameraInfo')
        for topic, settings in panel.get('topics', {}).items():
            yield Named(topic, 'PointCloud2' if 'colorField' in settings else 'LaserScan')
        for topic in filter(None, [panel.get('topicToRender')]):
            yield Named(topic, 'DiagnosticArray')
        for series in panel.get('paths', []):
            yield Named(series['value'].partition('.')[0], 'DiagnosticArray')


def rerun(text: str) -> Iterator[Named]:
    for view, topic in re.findall(r"rrb\.(\w+)\(\s*origin='(\S+)'", text):
        yield Named(topic, {'Spatial2DView': 'Image', 'Spatial3DView': 'PointCloud2',
                            'DataframeView': 'DiagnosticArray'}[view])


FILES: dict[str, tuple[Callable[[str], Iterator[Named]], int]] = {
    'nav2.yaml': (nav2, 3), 'nav2_stvl.yaml': (nav2, 2), 'rtabmap.yaml': (rtabmap, 6),
    'depth.rviz': (rviz, 4), 'record.yaml': (record, 8), 'foxglove.json': (foxglove, 9),
    'rerun_blueprint.py': (rerun, 4)}
"""Who reads each file, and how many topics it names, or a reader that finds none would pass."""

FRAMES = {'depth.rviz': r'Fixed Frame: (\w+)', 'foxglove.json': r'"followTf": "(\w+)"',
          'rerun_blueprint.py': r"FRAME = '(\w+)'", 'rtabmap.yaml': r'frame_id: (\w+)'}


@pytest.fixture(scope='module')
def node(start: Callable[..., RunningNode], checkpoint: Path) -> RunningNode:
    running = start(model=checkpoint, device='cpu', near=0.0, scan__camera_height=1.0)
    running.wait_for('configured')
    return running


Ends = tuple[list[TopicEndpointInfo], list[TopicEndpointInfo]]


def ends_of(peer: Peer, topic: str) -> Ends:
    """Return the node's publishers and subscriptions of a topic, once there is any."""
    def found() -> Ends:
        publishers, subscriptions = (
            [end for end in ends(topic) if end.node_name != peer.get_name()]
            for ends in (peer.get_publishers_info_by_topic, peer.get_subscriptions_info_by_topic))
        return publishers, subscriptions

    with contextlib.suppress(AssertionError):
        peer.until(lambda: any(found()), 20.0)
    assert any(found()), f'the node neither sends nor takes {topic}'
    return found()


def unremapped(topic: str) -> str:
    """Return the camera's topic under the name that the node gives it without remappings."""
    if topic.startswith('/camera/'):
        return '/camera_info' if topic.endswith('camera_info') else '/image'
    return topic


def compatible(offered: QoSProfile, named: Named) -> bool:
    asked = QoSProfile(depth=1, reliability=named.reliability or RELIABLE,
                       durability=named.durability)
    return bool(qos_check_compatible(offered, asked)[0] != QoSCompatibility.ERROR)


@pytest.mark.parametrize('file', FILES)
def test_its_topics_are_the_running_nodes(
        node: RunningNode, peer: Peer, root: Path, file: str) -> None:
    reader, count = FILES[file]
    named = list(reader((root / 'config' / file).read_text()))
    assert len(named) == count
    for each in named:
        topic = unremapped(each.topic)
        if topic in ROBOT:
            continue
        publishers, subscriptions = ends_of(peer, topic)
        kinds = {end.topic_type.rpartition('/')[2] for end in (*publishers, *subscriptions)}
        assert each.kind in ('', *kinds) and len(kinds) == 1, topic
        assert all(compatible(end.qos_profile, each) for end in publishers), topic
        # What the node takes comes from a camera, whose driver may offer best effort.
        assert publishers or each.reliability in (None, BEST_EFFORT), topic


@pytest.mark.parametrize('file', FRAMES)
def test_its_frames_are_the_images_or_the_robots(root: Path, file: str) -> None:
    frames = set(re.findall(FRAMES[file], (root / 'config' / file).read_text()))
    wanted = ROBOT_FRAMES if file == 'rtabmap.yaml' else {'camera_optical_frame'}
    assert frames == wanted


def test_all_that_is_shown_in_the_images_frame_has_it(node: RunningNode, peer: Peer) -> None:
    kinds: dict[str, Any] = {
        'depth/points': PointCloud2, 'depth/scan': LaserScan, 'depth/preview': Image}
    seen = {topic: peer.listen(topic, kind) for topic, kind in kinds.items()}

    def complete() -> bool:
        info, shown = camera_info(), image()
        info.header = shown.header
        peer.send('camera_info', info)
        peer.send('image', shown)
        peer.spin_for(0.2)
        return all(seen.values())

    peer.until(complete)
    frames = {topic: messages[0].header.frame_id for topic, messages in seen.items()}
    assert frames == {'depth/points': 'camera_optical_frame',
                      'depth/scan': 'camera_optical_frame_level',
                      'depth/preview': 'camera_optical_frame'}


def test_what_foxglove_plots_is_in_the_diagnostics(
        node: RunningNode, peer: Peer, root: Path) -> None:
    layout = json.loads((root / 'config' / 'foxglove.json').read_text())
    plots = [VALUE.fullmatch(series['value']) for panel in layout['configById'].values()
             for series in panel.get('paths', [])]
    assert plots
    peer.depth_of(image())

    def there() -> bool:
        found = {(status.name, value.key): value.value
                 for status in peer.diagnostics().values() for value in status.values}
        return all(plot is not None and float(found.get((plot['status'], plot['key']), 'nan')) > 0
                   for plot in plots)

    peer.until(there)
