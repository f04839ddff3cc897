# SPDX-License-Identifier: Apache-2.0
"""Start the depth node for a navigation stack: obstacles as points and scan, the scan's frame."""

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from depth_estimation_ros.mounting import level_in_optical

SHARE = get_package_share_directory('depth_estimation_ros')

ARGUMENTS = {
    'params_file': (f'{SHARE}/config/navigation.yaml', 'Parameters of the node, as a YAML file'),
    'camera_height': (None, 'Metres of the camera above the floor'),
    'pitch': ('0.0', 'Radians of the optical axis above the horizontal; negative looks down'),
    'roll': ('0.0', "Radians about the optical axis; positive turns the camera's right side down"),
    'camera_frame': ('', "The images' frame_id; with it the scan's level frame, its name and "
                     '_level, is published below it; empty leaves that to the robot'),
}


def level_frame(context: LaunchContext) -> list[Node]:
    """Return what publishes the scan's frame, where the camera's is named."""
    frame = LaunchConfiguration('camera_frame').perform(context)
    if not frame:
        return []
    tilt = level_in_optical(*(float(LaunchConfiguration(name).perform(context))
                              for name in ('pitch', 'roll')))
    rotation = [text for name, value in zip('xyzw', tilt, strict=True)
                for text in (f'--q{name}', repr(value))]
    return [Node(package='tf2_ros', executable='static_transform_publisher',
                 name='depth_scan_frame', arguments=[
                     '--frame-id', frame, '--child-frame-id', f'{frame}_level', *rotation])]


def generate_launch_description() -> LaunchDescription:
    """Give depth.launch.py what navigation needs; its further arguments pass through."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in ARGUMENTS.items()),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(f'{SHARE}/launch/depth.launch.py')),
        OpaqueFunction(function=level_frame),
    ])
