# SPDX-License-Identifier: Apache-2.0
"""Start one node on several cameras: what is fresh of them runs as one batch."""

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

LAUNCH = f'{get_package_share_directory("depth_estimation_ros")}/launch'

ARGUMENTS = {
    'cameras': ('[front, rear]', 'Names of the cameras as a YAML list, prefixes of their depth'),
    'image': ('{camera}/image_raw', "Each camera's image topic; {camera} stands for its name"),
    'camera_info': ('{camera}/camera_info', "Each camera's calibration topic, likewise"),
}


def generate_launch_description() -> LaunchDescription:
    """Give depth.launch.py other defaults; its further arguments pass through."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in ARGUMENTS.items()),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(f'{LAUNCH}/depth.launch.py')),
    ])
