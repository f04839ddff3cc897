# SPDX-License-Identifier: Apache-2.0
"""The launch file for navigation stacks and the files beside it, against what the node has."""

from __future__ import annotations

import importlib.util
import math
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy

from depth_estimation_ros.core.mount import Mount, level_in_optical
from depth_estimation_ros.core.scan import _directions
from depth_estimation_ros.ros.outputs import OUTPUTS
from depth_estimation_ros.ros.qos import OUTPUT
from depth_estimation_ros.ros.settings import Settings, parameters

from .test_depth_launch import STUBS, Recorded, launch_file, launched_node  # noqa: F401

FURTHER = {'launch.actions': ['GroupAction', 'IncludeLaunchDescription'],
           'launch_ros.actions': ['SetRemap'],
           'launch.launch_description_sources': ['PythonLaunchDescriptionSource']}
OURS = {f'/{output.topic}': output.message.__name__ for output in OUTPUTS}
GIVEN = {'/image': 'Image'}
"""What the node takes, under the names that its users see."""


@pytest.fixture
def navigation(root, monkeypatch) -> ModuleType:
    """The launch file, loaded over stand-ins for launch and launch_ros."""
    for name in (*STUBS, 'launch.launch_description_sources'):
        module = ModuleType(name)
        for kind in (*STUBS.get(name, ()), *FURTHER.get(name, ())):
            setattr(module, kind, type(kind, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    index = ModuleType('ament_index_python.packages')
    index.get_package_share_directory = lambda package: str(root)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'ament_index_python.packages', index)
    spec = importlib.util.spec_from_file_location(
        'navigation_launch', root / 'launch' / 'navigation.launch.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_gives_the_nodes_launch_file_what_that_declares(navigation, launch_file, root):  # noqa: F811
    given = {entity.args[0] for entity in navigation.generate_launch_description().args[0]
             if type(entity).__name__ == 'DeclareLaunchArgument'}
    assert given - set(launch_file.ARGUMENTS) == {'camera_frame', 'points', 'scan'}
    assert navigation.ARGUMENTS['params_file'][0] == str(root / 'config' / 'navigation.yaml')


def test_the_mount_becomes_the_scans_parameters(launch_file):  # noqa: F811
    started = launched_node(launch_file, camera_height='1.2', pitch='-0.2')
    assert started.parameters[1] == {'scan.camera_height': 1.2, 'scan.pitch': -0.2}
    asked = launched_node(launch_file, mount='tf', floor_frame='base_link')
    assert asked.parameters[1] == {'scan.mount': 'tf', 'scan.floor_frame': 'base_link'}
    with pytest.raises(ValueError, match="camera_height: 'high' is no number"):
        launched_node(launch_file, camera_height='high')


@pytest.mark.parametrize(('pitch', 'roll'), [(0.0, 0.0), (-0.4, 0.0), (0.3, 0.2), (-0.2, -0.5)])
def test_the_level_frame_is_that_of_the_scan(pitch, roll):
    x, y, z, w = level_in_optical(pitch, roll)
    rotation = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
    for ray in ((0.0, 0.0), (0.3, -0.2), (-0.5, 0.4)):
        level = np.array(_directions(np.array(ray[0]), np.array(ray[1]), Mount(1.0, pitch, roll)))
        np.testing.assert_allclose(rotation @ level, [*ray, 1.0], atol=1e-12)


def test_the_frame_is_published_where_the_cameras_is_named(navigation):
    given = asked(navigation, camera_height='1.2', pitch='-0.2')
    assert navigation.frame_publisher(given) == []
    by_tf = Context({**given, 'mount': 'tf', 'camera_frame': 'cam_optical'})
    assert navigation.frame_publisher(by_tf) == []
    with pytest.raises(ValueError, match='mount:=tf'):  # no scan without it
        navigation.frame_publisher(Context({**given, 'camera_height': ''}))
    node, = navigation.frame_publisher(Context({**given, 'camera_frame': 'cam_optical'}))
    flags = dict(zip(node.arguments[::2], node.arguments[1::2], strict=True))
    assert (node.package, node.executable) == ('tf2_ros', 'static_transform_publisher')
    assert (flags['--frame-id'], flags['--child-frame-id']) == (
        'cam_optical', 'cam_optical_level')
    assert math.hypot(*(float(flags[f'--q{axis}']) for axis in 'xyzw')) == pytest.approx(1.0)


def test_the_parameters_file_tells_the_mount_unless_an_argument_does(navigation, tmp_path):
    file = tmp_path / 'own.yaml'
    scan = {'camera_height': 0.5, 'pitch': -0.3, 'roll': 0.1}
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': {'scan': scan}}}))

    def rotation(**arguments: str) -> list[float]:
        context = asked(navigation, params_file=str(file), camera_frame='cam', **arguments)
        node, = navigation.frame_publisher(context)
        return [float(text) for text in node.arguments[5::2]]

    assert rotation() == pytest.approx(level_in_optical(-0.3, 0.1))
    assert rotation(pitch='0.2') == pytest.approx(level_in_optical(0.2, 0.1))
    assert not any(navigation.ARGUMENTS[name][0] for name in (
        'mount', 'floor_frame', 'camera_height', 'pitch', 'roll'))  # or they override the file
    with pytest.raises(ValueError, match='look level'):
        navigation.depth_node(asked(navigation, params_file=str(file),
                                    scan='depthimage_to_laserscan'))
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': {'scan': {'mount': 'tf'}}}}))
    assert navigation.frame_publisher(asked(navigation, params_file=str(file))) == []


def test_points_and_scan_are_the_nodes_own_unless_others_are_asked_for(navigation, root):
    group, = navigation.depth_node(asked(navigation))
    included, = group.args[0]
    assert type(included).__name__ == 'IncludeLaunchDescription'
    group, points, scan = navigation.depth_node(asked(
        navigation, points='depth_image_proc', scan='depthimage_to_laserscan',
        camera_frame='cam_optical', namespace='robot'))
    *remapped, included = group.args[0]
    assert [each.args for each in remapped] == [
        ('depth/points', 'depth/own_points'), ('depth/scan', 'depth/own_scan')]
    for node, topic in ((points, 'points'), (scan, 'scan')):
        assert node.namespace == 'robot'
        ours = dict(node.remappings)
        assert ours[topic] == f'depth/{topic}'
        assert {*ours.values()} <= {name[1:] for name in OURS}
    assert (points.package, points.executable) == ('depth_image_proc', 'point_cloud_xyz_node')
    assert (scan.package, scan.executable) == (
        'depthimage_to_laserscan', 'depthimage_to_laserscan_node')
    assert (points.parameters, scan.parameters) == ([], [{'output_frame': 'cam_optical_level'}])


def test_what_others_cannot_do_is_refused(navigation, tmp_path):
    for arguments, said in (({'scan': 'depthimage_to_laserscan', 'pitch': '-0.2'}, 'look level'),
                            ({'points': 'depth_image_proc', 'cameras': '[a, b]'}, 'one camera')):
        with pytest.raises(ValueError, match=said):
            navigation.depth_node(asked(navigation, **arguments))
    file = tmp_path / 'own.yaml'
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': {'cameras': ['a', 'b']}}}))
    with pytest.raises(ValueError, match='one camera'):
        navigation.depth_node(asked(navigation, points='depth_image_proc',
                                    params_file=str(file)))
    without = asked(navigation, scan='depthimage_to_laserscan')
    assert navigation.frame_publisher(without) == []  # which needs no height


def test_its_parameters_are_taken_and_clear_what_nav2_asks_for(root):
    text = yaml.safe_load((root / 'config' / 'navigation.yaml').read_text())
    given = dict(flattened(text['/**']['ros__parameters']))
    assert given.keys() <= parameters().keys()
    changed = Settings().changed(given).values()
    assert {name: changed[name] for name in given} == given
    costmap = yaml.safe_load((root / 'config' / 'nav2.yaml').read_text())
    layer = costmap['local_costmap']['local_costmap']['ros__parameters']['voxel_layer']
    assert given['points.clearing'] > layer['depth_clearing']['raytrace_max_range']


class Context(dict[str, str]):
    """Launch's, with the value of each argument."""

    @property
    def launch_configurations(self) -> dict[str, str]:
        return self


def asked(navigation: ModuleType, **arguments: str) -> Context:
    """Return what launch knows where these arguments are given."""
    defaults = {name: default for name, (default, _) in navigation.ARGUMENTS.items()}
    return Context({**defaults, **arguments})


def flattened(tree: dict[str, Any], prefix: str = '') -> list[tuple[str, Any]]:
    return [item for name, value in tree.items() for item in (
        flattened(value, f'{prefix}{name}.') if isinstance(value, dict)
        else [(f'{prefix}{name}', value)])]


def test_rviz_shows_topics_that_there_are_and_is_connected(root):
    config = yaml.safe_load((root / 'config' / 'depth.rviz').read_text())
    shown = [each for each in config['Visualization Manager']['Displays'] if 'Topic' in each]
    for display in shown:
        topic = display['Topic']
        kind = display['Class'].rpartition('/')[2]
        assert (OURS | GIVEN)[topic['Value']] == kind
        reliable = topic['Reliability Policy'] == 'Reliable'
        assert reliable == (topic['Value'] in OURS and OUTPUT.reliability
                            == ReliabilityPolicy.RELIABLE)
    assert {display['Topic']['Value'] for display in shown} >= {'/depth/points', '/depth/scan'}


def test_the_recorders_list_is_of_topics_and_policies_that_there_are(root):
    text = (root / 'config' / 'record.yaml').read_text()
    listed = yaml.safe_load(text)
    ours = {name for name in listed if name.startswith('/depth')}
    assert ours and ours <= OURS.keys()
    assert all(name in text.partition('\n/')[0] for name in listed)  # in its command line too
    for policies in listed.values():
        assert policies.keys() == {'reliability', 'durability', 'history', 'depth'}
        assert hasattr(ReliabilityPolicy, policies['reliability'].upper())
        assert hasattr(DurabilityPolicy, policies['durability'].upper())
        assert hasattr(HistoryPolicy, policies['history'].upper())
