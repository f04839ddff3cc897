# SPDX-License-Identifier: Apache-2.0
"""Start the depth node on one camera's topics, or on several cameras'."""

import re
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from depth_estimation_ros.parameters_file import cameras_of, full_name, parameters_of

CONFIG = Path(get_package_share_directory('depth_estimation_ros')) / 'config'

ARGUMENTS = {
    'namespace': ('', 'Namespace of the node and of its topics'),
    'params_file': (str(CONFIG / 'zoedepth.yaml'), 'Parameters of the node, as a YAML file'),
    'image': ('image', "The camera's image topic (sensor_msgs/Image); with image_transport: "
              'compressed, without its ending /compressed'),
    'camera_info': ('camera_info', "The camera's calibration topic (sensor_msgs/CameraInfo)"),
    'prompt': ('prompt/depth', "Another sensor's depth of the camera's view (sensor_msgs/Image), "
               'for a model that needs it'),
    'cameras': ('', 'Names of several cameras as a YAML list, such as [front, rear]; {camera} in '
                'image, camera_info and prompt stands for each; empty takes those in params_file'),
    'model': ('', "A hub id, a folder, a file with a card, or 'demo'; empty takes the one in "
              'params_file'),
    'device': ('', 'auto, cpu, cuda or cuda:N; empty takes the one in params_file'),
    'precision': ('', 'auto, fp32, bf16 or fp16; empty takes the one in params_file'),
    'image_transport': ('', 'raw or compressed; empty takes the one in params_file'),
    'mount': ('', 'given, tf or floor: how it is known how the camera stands, for depth/scan; '
              'empty takes the one in params_file'),
    'floor_frame': ('', 'With mount:=tf: the frame that lies level on the floor; empty takes the '
                    'one in params_file'),
    'camera_height': ('', 'Metres of the camera above the floor, for depth/scan; empty takes the '
                      'one in params_file'),
    'pitch': ('', 'Radians of the optical axis above the horizontal; negative looks down; empty '
              'takes the one in params_file'),
    'roll': ('', "Radians about the optical axis; positive turns the camera's right side down; "
             'empty takes the one in params_file'),
    'use_sim_time': ('', "true takes the time from /clock, a simulator's or a played bag's; "
                     'empty takes the one in params_file'),
    'autostart': ('', 'false leaves configure and activate to a lifecycle manager; empty takes '
                  'the one in params_file'),
    'log_level': ('info', 'How much the node logs'),
}

CHOICES = {
    'precision': ['', 'auto', 'fp32', 'bf16', 'fp16'],
    'image_transport': ['', 'raw', 'compressed'],
    'mount': ['', 'given', 'tf', 'floor'],
    'use_sim_time': ['', 'true', 'false'], 'autostart': ['', 'true', 'false'],
    'log_level': ['debug', 'info', 'warn', 'error', 'fatal'],
}

OVERRIDES = ('model', 'device', 'precision', 'image_transport', 'use_sim_time', 'autostart')
"""The arguments that stand for the parameter of their name."""

SWITCHES = ('use_sim_time', 'autostart')
"""Those of them that are true or false."""

MOUNT = ('mount', 'floor_frame', 'camera_height', 'pitch', 'roll')
"""Those that stand for a parameter of the scan's."""

WORDS = ('mount', 'floor_frame')
"""Those of them that are no numbers."""

TOPIC = re.compile(r'(~?/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)
"""What rcl takes for a topic's name; it says no more than where it gave up."""

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Where Fast DDS before and since version 3 looks for its profile."""


def depth_node(context: LaunchContext) -> list[Node]:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if not Path(value['params_file']).is_file():
        raise ValueError(f"params_file: there is no file '{value['params_file']}'")
    cameras = camera_names(value['cameras']) or cameras_of(parameters_of(
        Path(value['params_file']), full_name(
            'depth_estimation', value['namespace'],
            context.launch_configurations.get('ros_namespace', ''))))
    patterns = [pattern(name, value[name], cameras) for name in ('image', 'camera_info', 'prompt')]
    overrides = {name: value[name] == 'true' if name in SWITCHES else value[name]
                 for name in OVERRIDES if value[name]}
    overrides |= {f'scan.{name}': value[name] if name in WORDS else number(name, value[name])
                  for name in MOUNT if value[name]}
    overrides |= {'cameras': cameras} if value['cameras'] else {}
    return [Node(
        package='depth_estimation_ros', executable='depth_estimation_node',
        name='depth_estimation', namespace=value['namespace'], output='screen',
        parameters=[value['params_file'], overrides],
        remappings=[remapping for camera in cameras or ['']
                    for remapping in topics(camera, *patterns)],
        arguments=['--ros-args', '--log-level', value['log_level']])]


def number(argument: str, text: str) -> float:
    """Read an argument that is a number; raises ValueError when it is none."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{argument}: '{text}' is no number") from None


def camera_names(text: str) -> list[str]:
    """Read the argument 'cameras'; raises ValueError when it is not a list of names."""
    try:
        names = yaml.safe_load(text) or []
    except yaml.YAMLError:
        names = text
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"cameras: '{text}' is not a YAML list of names such as [front, rear]")
    return names


def pattern(argument: str, topic: str, cameras: list[str]) -> str:
    """Return the topic that an argument names, with {camera} in it for several cameras."""
    if not TOPIC.fullmatch(topic.replace('{camera}', 'camera')):
        raise ValueError(f"{argument}: '{topic}' is no topic: its parts between single / have "
                         'letters, digits and _, and no digit first')
    if argument == 'image' and topic.endswith('/compressed'):
        raise ValueError(f"image: '{topic}' is the compressed topic: leave its ending /compressed "
                         'out, and set image_transport:=compressed')
    if '{camera}' in topic and not cameras:
        raise ValueError(f"{argument}: '{topic}' holds {{camera}}, but cameras names none")
    if cameras and topic == ARGUMENTS[argument][0]:
        return f'{{camera}}/{topic}'
    if len(cameras) > 1 and '{camera}' not in topic:
        raise ValueError(f"{argument}: '{topic}' would be one topic for {len(cameras)} cameras: "
                         'write {camera} where it has their name')
    return topic


def topics(camera: str, *patterns: str) -> list[tuple[str, str]]:
    prefix = f'{camera}/' if camera else ''
    image, camera_info, prompt = (each.replace('{camera}', camera) for each in patterns)
    return [(f'{prefix}image', image), (f'{prefix}image/compressed', f'{image}/compressed'),
            (f'{prefix}camera_info', camera_info), (f'{prefix}prompt/depth', prompt)]


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments, the Fast DDS profile (unless the user has one), and the node."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description,
                                choices=CHOICES.get(name))
          for name, (default, description) in ARGUMENTS.items()),
        *(SetEnvironmentVariable(
            variable, EnvironmentVariable(variable, default_value=str(CONFIG / 'fastdds.xml')))
          for variable in PROFILE_VARIABLES),
        OpaqueFunction(function=depth_node),
    ])
