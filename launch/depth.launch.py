"""Start the depth node on one camera's topics, or on several cameras'."""

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

CONFIG = Path(get_package_share_directory('depth_estimation_ros')) / 'config'

ARGUMENTS = {
    'namespace': ('', 'Namespace of the node and of its topics'),
    'params_file': (str(CONFIG / 'zoedepth.yaml'), 'Parameters of the node, as a YAML file'),
    'image': ('image', "The camera's image topic (sensor_msgs/Image); with image_transport: "
              'compressed, without its ending /compressed'),
    'camera_info': ('camera_info', "The camera's calibration topic (sensor_msgs/CameraInfo)"),
    'cameras': ('', 'Names of several cameras as a YAML list, such as [front, rear]; {camera} in '
                'image and camera_info stands for each; empty takes the one in params_file'),
    'model': ('', "A hub id, a folder, or 'demo'; empty takes the one in params_file"),
    'device': ('', 'auto, cpu, cuda or cuda:N; empty takes the one in params_file'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
}

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Where Fast DDS before and since version 3 looks for its profile."""


def depth_node(context: LaunchContext) -> list[Node]:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides = {name: value[name] for name in ('model', 'device') if value[name]}
    cameras = yaml.safe_load(value['cameras']) or []
    overrides |= {'cameras': cameras} if cameras else {}
    return [Node(
        package='depth_estimation_ros', executable='depth_estimation_node',
        name='depth_estimation', namespace=value['namespace'], output='screen',
        parameters=[value['params_file'], overrides],
        remappings=[remapping for camera in cameras or ['']
                    for remapping in topics(camera, value['image'], value['camera_info'])],
        arguments=['--ros-args', '--log-level', value['log_level']])]


def topics(camera: str, image: str, camera_info: str) -> list[tuple[str, str]]:
    prefix = f'{camera}/' if camera else ''
    image, camera_info = (name.replace('{camera}', camera) for name in (image, camera_info))
    return [(f'{prefix}image', image), (f'{prefix}image/compressed', f'{image}/compressed'),
            (f'{prefix}camera_info', camera_info)]


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments, the Fast DDS profile (unless the user has one), and the node."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in ARGUMENTS.items()),
        *(SetEnvironmentVariable(
            variable, EnvironmentVariable(variable, default_value=str(CONFIG / 'fastdds.xml')))
          for variable in PROFILE_VARIABLES),
        OpaqueFunction(function=depth_node),
    ])
