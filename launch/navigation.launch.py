# SPDX-License-Identifier: Apache-2.0
"""Start the depth node for a navigation stack: obstacles as points and scan, the scan's frame."""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, SetRemap

from depth_estimation_ros.core.mount import level_frame, level_in_optical
from depth_estimation_ros.parameters_file import cameras_of, full_name, parameters_of

SHARE = get_package_share_directory('depth_estimation_ros')

ARGUMENTS = {
    'params_file': (f'{SHARE}/config/navigation.yaml', 'Parameters of the node, as a YAML file'),
    'mount': ('', 'How it is known how the camera stands: given, by camera_height, pitch and '
              "roll; tf, by the robot's transforms; floor, by the floor in the depth; empty takes "
              'the one in params_file, or else given'),
    'floor_frame': ('', 'With mount:=tf: the frame that lies level on the floor; empty takes the '
                    'one in params_file, or else base_footprint'),
    'camera_height': ('', 'Metres of the camera above the floor; mount:=given needs it, here or '
                      'in params_file'),
    'pitch': ('', 'Radians of the optical axis above the horizontal; negative looks down; empty '
              'takes the one in params_file, or else 0'),
    'roll': ('', "Radians about the optical axis; positive turns the camera's right side down; "
             'empty takes the one in params_file, or else 0'),
    'camera_frame': ('', "With mount:=given: the images' frame_id; with it the scan's level "
                     'frame, its name and _level, is published below it; empty leaves that to '
                     'the robot'),
    'points': ('own', 'Who makes depth/points: own is the node; depth_image_proc'),
    'scan': ('own', 'Who makes depth/scan: own is the node; depthimage_to_laserscan, which takes '
             "the image's middle row for the horizon"),
}

CHOICES = {'points': ['own', 'depth_image_proc'], 'scan': ['own', 'depthimage_to_laserscan']}

REPLACEMENTS = {
    'depth_image_proc': ('point_cloud_xyz_node', [
        ('image_rect', 'depth/image_rect'), ('camera_info', 'depth/camera_info'),
        ('points', 'depth/points')]),
    'depthimage_to_laserscan': ('depthimage_to_laserscan_node', [
        ('depth', 'depth/image_rect'), ('depth_camera_info', 'depth/camera_info'),
        ('scan', 'depth/scan')]),
}
"""The executable of each package that may replace an output of the node's, and its topics."""


def frame_publisher(context: LaunchContext) -> list[Node]:
    """Return what publishes the scan's frame, where the node doesn't and the camera's is named."""
    mount, frame = scan(context), asked(context, 'camera_frame')
    if mount['mount'] != 'given':
        return []
    if not mount['camera_height'] and asked(context, 'scan') == 'own':
        raise ValueError('camera_height: how high the camera stands must be given, or mount:=tf '
                         "to take it from the robot's transforms, or mount:=floor to find the "
                         'floor in the depth')
    if not frame:
        return []
    rotation = [text for name, value in zip('xyzw', level_in_optical(
                float(mount['pitch']), float(mount['roll'])), strict=True)
                for text in (f'--q{name}', repr(value))]
    return [Node(package='tf2_ros', executable='static_transform_publisher',
                 name='depth_scan_frame', arguments=[
                     '--frame-id', frame, '--child-frame-id', level_frame(frame), *rotation])]


def asked(context: LaunchContext, argument: str) -> str:
    """Return the value of an argument."""
    return str(LaunchConfiguration(argument).perform(context))


def written_in_file(context: LaunchContext) -> dict[str, Any]:
    """Return what params_file says of the node; nothing where depth.launch.py will refuse it."""
    path = Path(asked(context, 'params_file'))
    node = full_name('depth_estimation', *(context.launch_configurations.get(name, '')
                                           for name in ('namespace', 'ros_namespace')))
    return parameters_of(path, node) if path.is_file() else {}


def scan(context: LaunchContext) -> dict[str, Any]:
    """Return how the camera stands, as the node will know it: arguments, file, defaults."""
    names = ('mount', 'camera_height', 'pitch', 'roll')
    written = written_in_file(context)
    return {**{'mount': 'given', 'camera_height': 0.0, 'pitch': 0.0, 'roll': 0.0},
            **{name: written[f'scan.{name}'] for name in names if f'scan.{name}' in written},
            **{name: asked(context, name) for name in names if asked(context, name)}}


def depth_node(context: LaunchContext) -> list[GroupAction]:
    """Return the node, without the outputs that others make, and the others."""
    replaced = {name: asked(context, name) for name in CHOICES if asked(context, name) != 'own'}
    cameras = context.launch_configurations.get('cameras')
    if replaced and (cameras or cameras_of(written_in_file(context))):
        raise ValueError(f'{", ".join(replaced)}: other packages\' nodes serve one camera: leave '
                         'cameras out, or start them yourself')
    if 'scan' in replaced and float(scan(context)['pitch']):
        raise ValueError('scan: depthimage_to_laserscan knows no tilt, so the camera has to look '
                         'level: leave pitch out, or scan:=own')
    launched = IncludeLaunchDescription(PythonLaunchDescriptionSource(
        f'{SHARE}/launch/depth.launch.py'))
    remapped = [SetRemap(f'depth/{name}', f'depth/own_{name}') for name in replaced]
    return [GroupAction([*remapped, launched]),
            *(replacement(context, package) for package in replaced.values())]


def replacement(context: LaunchContext, package: str) -> Node:
    """Return another package's node, on this one's topics."""
    executable, topics = REPLACEMENTS[package]
    frame = asked(context, 'camera_frame')
    return Node(package=package, executable=executable, remappings=topics, output='screen',
                namespace=context.launch_configurations.get('namespace', ''),
                parameters=[{'output_frame': level_frame(frame)}] if frame and (
                    package == 'depthimage_to_laserscan') else [])


def generate_launch_description() -> LaunchDescription:
    """Give depth.launch.py what navigation needs; its further arguments pass through."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description,
                                choices=CHOICES.get(name))
          for name, (default, description) in ARGUMENTS.items()),
        OpaqueFunction(function=frame_publisher),
        OpaqueFunction(function=depth_node),
    ])
