# SPDX-License-Identifier: Apache-2.0
"""The launch file: what it describes, the command line it comes to, and ros2 launch for real."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from threading import Timer
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from sensor_msgs.msg import Image

from .conftest import RunningNode, image


class Recorded(SimpleNamespace):
    """Stands in for any class of ROS's launch: keeps what it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(args=args, **kwargs)

    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


STUBS = {
    'launch': ['LaunchContext', 'LaunchDescription'],
    'launch.actions': ['DeclareLaunchArgument', 'OpaqueFunction', 'SetEnvironmentVariable'],
    'launch.substitutions': ['EnvironmentVariable', 'LaunchConfiguration'],
    'launch_ros': [], 'launch_ros.actions': ['Node'],
}


@pytest.fixture
def launch_file(root, monkeypatch) -> ModuleType:
    """The launch file, loaded over stand-ins for launch and launch_ros."""
    for name, classes in STUBS.items():
        module = ModuleType(name)
        for kind in classes:
            setattr(module, kind, type(kind, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    index = ModuleType('ament_index_python.packages')
    index.get_package_share_directory = lambda package: str(root)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'ament_index_python.packages', index)
    spec = importlib.util.spec_from_file_location(
        'depth_launch', root / 'launch' / 'depth.launch.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entities(launch_file: ModuleType, kind: str) -> list[Any]:
    return [entity for entity in launch_file.generate_launch_description().args[0]
            if type(entity).__name__ == kind]


class Context(dict[str, str]):
    """Stands in for launch's context."""

    @property
    def launch_configurations(self) -> dict[str, str]:
        return self


def launched_node(launch_file: ModuleType, pushed: str = '', **arguments: str) -> Any:
    """Return the node that launch would start with these arguments."""
    defaults = {argument.args[0]: argument.default_value
                for argument in entities(launch_file, 'DeclareLaunchArgument')}
    assert set(arguments) <= set(defaults)
    arguments |= {'ros_namespace': pushed} if pushed else {}
    function, = entities(launch_file, 'OpaqueFunction')
    started, = function.function(Context({**defaults, **arguments}))
    return started


def command_line(started: Any, folder: Any) -> list[str]:
    """Return the arguments that launch_ros would pass to the executable."""
    flags = ['--ros-args', '-r', f'__node:={started.name}']
    flags += ['-r', f'__ns:=/{started.namespace}'] if started.namespace else []
    for number, parameters in enumerate(started.parameters):
        path = parameters
        if isinstance(parameters, dict):
            path = folder / f'parameters_{number}.yaml'
            path.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}))
        flags += ['--params-file', str(path)]
    for source, target in started.remappings:
        flags += ['-r', f'{source}:={target}']
    return [*flags, *started.arguments]


def test_every_argument_is_described_and_has_a_default(launch_file):
    arguments = entities(launch_file, 'DeclareLaunchArgument')
    assert {argument.args[0] for argument in arguments} >= {
        'namespace', 'params_file', 'image', 'camera_info', 'model', 'device'}
    assert all(len(argument.description) > 15 for argument in arguments)


def test_it_starts_the_packages_executable_with_files_that_exist(launch_file, root):
    started = launched_node(launch_file)
    assert started.package == 'depth_estimation_ros'
    setup = (root / 'setup.py').read_text()
    assert re.search(rf"'{started.executable} = depth_estimation_ros\.ros\.main:main'", setup)
    assert started.parameters[0] == str(root / 'config' / 'zoedepth.yaml')
    assert (root / 'config' / 'zoedepth.yaml').is_file()


def test_the_params_file_rules_unless_an_argument_overrides(launch_file):
    assert launched_node(launch_file).parameters[1] == {}
    assert launched_node(launch_file, model='demo', device='cpu').parameters[1] == {
        'model': 'demo', 'device': 'cpu'}


def test_several_cameras_are_remapped_by_a_pattern(launch_file):
    started = launched_node(launch_file, cameras='[front, rear]', image='{camera}/image_raw')
    assert started.parameters[1] == {'cameras': ['front', 'rear']}
    assert ('rear/image', 'rear/image_raw') in started.remappings
    assert ('front/image/compressed', 'front/image_raw/compressed') in started.remappings
    assert ('front/prompt/depth', 'front/prompt/depth') in started.remappings
    assert len(started.remappings) == 8


@pytest.mark.parametrize(('arguments', 'named'), [
    ({'cameras': 'front'}, 'not a YAML list'), ({'cameras': '[1, 2]'}, 'not a YAML list'),
    ({'cameras': '[front'}, 'not a YAML list'),
    ({'cameras': '[front, rear]', 'image': '/cam/image'}, 'one topic for 2 cameras'),
    ({'image': '/{camera}/image'}, 'cameras names none'),
    ({'image': '/cam/image/compressed'}, 'image_transport:=compressed'),
    ({'image': '/my camera/image'}, "image: '/my camera/image' is no topic"),
    ({'camera_info': '/1/camera_info'}, 'no digit first'),
    ({'image': 'image//rect'}, 'is no topic'), ({'image': ''}, "image: '' is no topic"),
    ({'params_file': '/nowhere.yaml'}, "no file '/nowhere.yaml'")])
def test_arguments_that_make_no_sense_are_refused_by_name(launch_file, arguments, named):
    with pytest.raises(ValueError, match=named):
        launched_node(launch_file, **arguments)


def test_several_cameras_keep_topics_of_their_own_unless_told(launch_file):
    several = launched_node(launch_file, cameras='[front, rear]').remappings
    assert dict(several)['front/image'] == 'front/image'
    one = launched_node(launch_file, cameras='[front]', image='/cam/image').remappings
    assert dict(one)['front/image'] == '/cam/image'


@pytest.mark.parametrize('named', [
    '/**', 'depth_estimation', '/robot/depth_estimation', '/*/depth_estimation'])
def test_cameras_of_the_parameters_file_are_remapped_too(launch_file, tmp_path, named):
    file = tmp_path / 'own.yaml'
    file.write_text(yaml.safe_dump({named: {'ros__parameters': {'cameras': ['front', 'rear']}}}))
    namespace = 'robot' if 'robot' in named or '*/' in named else ''
    started = launched_node(launch_file, params_file=str(file), namespace=namespace,
                            image='/{camera}/image_raw')
    assert started.parameters[1] == {}
    assert dict(started.remappings)['rear/image'] == '/rear/image_raw'
    with pytest.raises(ValueError, match='one topic for 2 cameras'):
        launched_node(launch_file, params_file=str(file), namespace=namespace, image='/cam/image')
    if named != '/**':  # another node's
        other = launched_node(launch_file, params_file=str(file), namespace='a/b', image='/cam')
        assert dict(other.remappings)['image'] == '/cam'


@pytest.mark.parametrize(('pushed', 'namespace', 'node'), [
    ('/robot', '', '/robot/depth_estimation'), ('robot', 'arm', '/robot/arm/depth_estimation'),
    ('/robot', '/arm', '/arm/depth_estimation')])
def test_a_group_around_it_pushes_its_namespace(launch_file, tmp_path, pushed, namespace, node):
    file = tmp_path / 'own.yaml'
    file.write_text(yaml.safe_dump({node: {'ros__parameters': {'cameras': ['front', 'rear']}}}))
    started = launched_node(launch_file, pushed, params_file=str(file), namespace=namespace)
    assert dict(started.remappings)['front/image'] == 'front/image'
    assert 'image' not in dict(started.remappings)


def test_a_parameters_file_that_cannot_be_read_is_named(launch_file, tmp_path):
    file = tmp_path / 'own.yaml'
    file.write_text('/**: [')
    with pytest.raises(ValueError, match=r'own\.yaml. cannot be read as parameters'):
        launched_node(launch_file, params_file=str(file))


def test_arguments_that_stand_for_parameters_override_them(launch_file):
    started = launched_node(
        launch_file, precision='fp32', image_transport='compressed', autostart='false',
        use_sim_time='true')
    assert started.parameters[1] == {
        'precision': 'fp32', 'image_transport': 'compressed', 'autostart': False,
        'use_sim_time': True}


def test_the_users_own_fast_dds_profile_stays(launch_file, root):
    variables = entities(launch_file, 'SetEnvironmentVariable')
    assert {variable.args[0] for variable in variables} == {
        'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'}
    for variable in variables:
        name, value = variable.args
        assert value.args == (name,)
        assert value.default_value == str(root / 'config' / 'fastdds.xml')


def test_the_command_line_serves_the_remapped_camera(launch_file, checkpoint, tmp_path, peer):
    """Start the node as launch would, in a namespace, on a camera's own topic names."""
    started = launched_node(launch_file, namespace='robot', image='/cam/image_color',
                   camera_info='/cam/camera_info', model=str(checkpoint), device='cpu')
    node = RunningNode(tmp_path / 'log.txt', *command_line(started, tmp_path)[1:], fresh=True)
    node.wait_for('configured')
    depths = peer.listen('/robot/depth/image_rect', Image)
    peer.until(lambda: peer.send('/cam/image_color', image()) and peer.spin_for(0.2) is None
               and bool(depths))
    assert node.end()[0] == 0


@pytest.mark.skipif(shutil.which('ros2') is None, reason='ros2 launch is not installed')
def test_ros2_launch_shows_its_arguments():
    shown = subprocess.run(['ros2', 'launch', 'depth_estimation_ros', 'depth.launch.py',
                            '--show-args'], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert "'params_file'" in shown.stdout and "The camera's image topic" in shown.stdout


@pytest.mark.skipif(shutil.which('ros2') is None, reason='ros2 launch is not installed')
def test_ros2_launch_starts_and_ends_the_node(checkpoint):
    with subprocess.Popen(
            ['ros2', 'launch', 'depth_estimation_ros', 'depth.launch.py', f'model:={checkpoint}',
             'device:=cpu'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True) as launched:
        assert launched.stdout is not None
        watch = Timer(60.0, launched.kill)
        watch.start()
        lines = []
        for line in launched.stdout:
            lines.append(line)
            if 'configured' in line:
                os.killpg(launched.pid, signal.SIGINT)
        assert launched.wait(timeout=30) == 0, lines
        watch.cancel()
    text = ''.join(lines)
    assert 'finished cleanly' in text and 'Traceback' not in text, text
